import type { PodAddress } from "./Pod.ts"

/** A pod in a session token, as in llm-d: `namespace/name`, `namespace/name-rank-1`; `host:port` where it has no name. */
export const nameInToken = ({ id, name, rank }: PodAddress): string =>
  name === undefined ? id : rank === undefined ? name : `${name}-rank-${rank}`

/** Whether the name is the pod's. llm-d gives a rank to the only port of a Kubernetes pod too. */
export const isNamed = (address: PodAddress, name: string): boolean =>
  nameInToken(address) === name ||
  (address.rank === undefined && address.name !== undefined && name === `${address.name}-rank-0`)

/** What an answer carries so that the next request of the session can come back: the pod's name in base64. */
export const sessionToken = (address: PodAddress): string => btoa(nameInToken(address))

/** The pod's name out of a token; empty when it is none. */
export const nameOfToken = (token: string): string => {
  try {
    return atob(token)
  } catch {
    return ""
  }
}
