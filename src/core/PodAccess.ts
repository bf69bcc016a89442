import type { PodId } from "./Pod.ts"

/** How pods are reached by https, PEM texts. */
export interface PodTls {
  /** Trusted authorities; undefined: the system's. */
  readonly ca?: string
  /** The gateway's own certificate for pods that ask for one, and its key. */
  readonly cert?: string
  readonly key?: string
  readonly rejectUnauthorized?: boolean
}

/** What the gateway shows the pods. Asked anew for each request and connection, since files of secrets change. */
export interface PodAccess {
  /** Bearer token for a pod; undefined: none. */
  readonly tokenFor: (id: PodId) => string | undefined
  readonly tls: () => PodTls
}
