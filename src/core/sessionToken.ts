import type { PodAddress } from "./Pod.ts"

const RANK = "-rank-"

/** A pod in a session token, as in llm-d: `namespace/name`, `namespace/name-rank-1`; `host:port` where it has no name. */
export const nameInToken = ({ id, name, rank }: PodAddress): string =>
  name === undefined ? id : rank === undefined ? name : `${name}${RANK}${rank}`

/**
 * Whether the name is the pod's. llm-d gives a rank to the only port of a Kubernetes pod too. A pick asks this of each
 * pod, so the pod's own name is not put together to be compared.
 */
export const isNamed = ({ id, name: own, rank }: PodAddress, name: string): boolean => {
  if (own === undefined) return name === id
  if (name === own) return rank === undefined
  return name.startsWith(own) && name.startsWith(RANK, own.length) &&
    name.slice(own.length + RANK.length) === `${rank ?? 0}`
}
