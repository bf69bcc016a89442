import type { RequestEnd } from "../../actors/SchedulerPort.ts"
import type { GatewayError, TimeoutPhase } from "../errors.ts"
import type { RetryDenial } from "./retry/Attempts.ts"
import type { RescueDenial } from "./rescue/StreamRescue.ts"
import type { RetryReason } from "./retry/PodFault.ts"

/**
 * What the front tells about its requests. Called on the hot path: implementations add to numbers and do nothing else.
 * One that throws changes nothing for a request.
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
  /** A request goes to another pod, for what happened at the last one. */
  readonly retried: (reason: RetryReason) => void
  /** A request that failed at a pod is not tried again. */
  readonly retryDenied: (why: RetryDenial) => void
  /** begun: another pod is asked to go on with a stream. whole: its client got all of it. broken: it did not. */
  readonly rescued: (outcome: "begun" | "whole" | "broken") => void
  /** A stream that lost its pod ends with an error although it could have gone on. */
  readonly rescueDenied: (why: RescueDenial) => void
  /** A request came to nothing at a pod, by the pod's fault or perhaps its own. */
  readonly podFailed: (pod: string, reason: RetryReason | "envoy-answered" | "envoy-went-on") => void
  /** A client is told an error of the gateway's own: as the whole answer, or as the last event of a stream. */
  readonly refused: (error: GatewayError) => void
  /** body: the client did not send it. client: it did not take its answer. */
  readonly timedOut: (phase: TimeoutPhase | "body" | "client") => void
  /** What the pod reported or, for output without a report, what was counted; undefined: unknown. */
  readonly tokens: (
    model: string,
    promptTokens: number | undefined,
    cachedTokens: number | undefined,
    outputTokens: number | undefined
  ) => void
}
