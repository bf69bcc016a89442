import type { PodAddress } from "./Pod.ts"

/** Where a request goes, with its load already charged there. */
export interface Placement {
  readonly reservation: number
  readonly address: PodAddress
  readonly promptTokens: number
  readonly hitTokens: number
  readonly predictedTtftS: number
  /** The pod's breaker lets this one request try whether it works again. */
  readonly probes: boolean
  /** Where to try next, best first; at most `fallbacksMax` of the request. Nothing is charged there. */
  readonly fallbacks: ReadonlyArray<PodAddress>
}

/** Why there is no placement. "filtered": the policy's own filters refused every pod that could serve it. */
export type Refusal = "unknown-model" | "no-pod" | "too-many-open" | "filtered"

export interface EndedRequest {
  /** As the pod told or as counted; undefined when unknown. */
  readonly outputTokens?: number | undefined
}
