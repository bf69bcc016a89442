import { Data } from "effect"
import { readPlainFile, whyUnread } from "../plainFile.ts"

/** How an API server is reached and who we are there, as read at one moment. */
export interface ClusterAccess {
  /** `https://10.96.0.1:443`, perhaps with a path, never with a slash at the end. */
  readonly server: string
  /** The namespace that the credentials belong to. */
  readonly namespace: string
  /** Sent as a bearer token. */
  readonly token: string | undefined
  readonly tls: ClusterTls
}

/** PEM texts; what is undefined is not used. */
export interface ClusterTls {
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
  /** The name that the server's certificate must have, where it is not the host of `server`. */
  readonly serverName: string | undefined
  /** True takes any certificate. */
  readonly insecure: boolean
}

/** Credentials that can't be read or that we don't know how to use; `why` says what to do. */
export class ClusterAccessError extends Data.TaggedError("ClusterAccessError")<{ readonly why: string }> {
  override get message(): string {
    return this.why
  }
}

/** Reads the credentials anew each time, as tokens and certificates are replaced while we run. Throws ClusterAccessError. */
export type ReadAccess = () => Promise<ClusterAccess>

/** Tokens, certificates and kubeconfigs are far smaller. */
const CREDENTIAL_BYTES_MAX = 1024 * 1024

/** The text of a file of credentials. Throws ClusterAccessError. */
export const readCredential = async (path: string, what: string): Promise<string> => {
  try {
    return await readPlainFile(path, CREDENTIAL_BYTES_MAX)
  } catch (cause) {
    throw new ClusterAccessError({ why: `${what} ${path} ${whyUnread(cause)}` })
  }
}
