import type { UpstreamError, UpstreamErrorKind } from "../upstream/UpstreamRequest.ts"

/** Answers that say that the pod, not the request, is the trouble; 500 may be either. */
type FaultStatus = 500 | 502 | 503 | 504

export type RetryReason = UpstreamErrorKind | `answer-${FaultStatus}`

/** A try at a pod that came to nothing. */
export interface PodFault {
  readonly reason: RetryReason
  /** The pod may have begun with the request, so another try may run it a second time. */
  readonly mayHaveRun: boolean
  /** Whose fault it is. none: ours. */
  readonly blame: "pod" | "unsure" | "none"
  readonly why: string
}

export const faultOfError = ({ kind, message }: UpstreamError): PodFault => ({
  reason: kind,
  mayHaveRun: kind !== "refused" && kind !== "connect-timeout" && kind !== "exhausted",
  blame: kind === "exhausted" || kind === "unsent" ? "none" : "pod",
  why: message
})

export const isFaultStatus = (status: number): status is FaultStatus =>
  status === 500 || status === 502 || status === 503 || status === 504

/** vLLM answers 503 before it takes a request on, and 500 both for requests it can't stand and for a dead engine. */
export const faultOfStatus = (status: FaultStatus): PodFault => ({
  reason: `answer-${status}`,
  mayHaveRun: status !== 503,
  blame: status === 500 ? "unsure" : "pod",
  why: `it answered ${status}`
})
