import type { PodAddress } from "./Pod.ts"

/** A pod as llm-d calls it in session tokens: `namespace/name-rank-0`; `host:port` where discovery knows no name. */
export const endpointName = ({ id, name, rank }: PodAddress): string =>
  name === undefined ? id : `${name}-rank-${rank ?? 0}`

/** What an answer carries so that the next request of the session can come back: the pod's name in base64. */
export const sessionToken = (address: PodAddress): string => btoa(endpointName(address))

/** The pod's name out of a token; empty when it is none. */
export const endpointOfToken = (token: string): string => {
  try {
    return atob(token)
  } catch {
    return ""
  }
}
