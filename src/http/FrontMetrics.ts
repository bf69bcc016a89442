import type { RequestEnd } from "../../actors/SchedulerPort.ts"

/** Why a request went to a second pod. */
export type RetryReason = "refused" | "connect-timeout" | "broken" | "exhausted"

/**
 * What the front tells about its requests. Called on the hot path: implementations add to numbers and do nothing else.
 * `route` is the path of the route table, never text of the client's, so label values stay bounded.
 */
export interface FrontMetrics {
  readonly requestStarted: (route: string) => void
  /** Once for each `requestStarted`. `status` is what the client got (499: it left before an answer). */
  readonly requestEnded: (route: string, status: number, outcome: RequestEnd["outcome"], durationS: number) => void
  /** From the request's arrival to the first body byte of a 2xx answer. */
  readonly firstByte: (route: string, ttftS: number) => void
  /** The first token of a streamed answer, in seconds from the pick; `predictedS` as the decision had it. */
  readonly ttft: (pod: string, predictedS: number, observedS: number) => void
  /** From the pick's ask to its answer. */
  readonly picked: (route: string, waitS: number) => void
  readonly retried: (reason: RetryReason) => void
  /** What the pod reported or, for output without a report, what was counted; undefined: unknown. */
  readonly tokens: (
    model: string,
    promptTokens: number | undefined,
    cachedTokens: number | undefined,
    outputTokens: number | undefined
  ) => void
}
