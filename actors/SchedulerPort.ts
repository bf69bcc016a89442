import type { PodAddress, PodId } from "../src/core/Pod.ts"
import type { RequestFeatures } from "../src/core/RequestFeatures.ts"

/** Where a request goes and what it is charged until it ends. */
export interface Decision {
  /** Hand it back exactly once through `end`; a second time is harmless. */
  readonly reservation: number
  readonly address: PodAddress
  readonly policy: string
  readonly promptTokens: number
  readonly hitTokens: number
  /** NaN when the policy does not price in seconds. */
  readonly predictedTtftS: number
  /** It tries whether a broken pod works again, so it should not wait for that pod as long as for others. */
  readonly probes?: boolean
  /** Where a proxy may try next, best first, when the request asked for such pods; they are charged nothing. */
  readonly fallbacks?: ReadonlyArray<PodAddress>
}

/** How a dispatched request ended. Token counts are the pod's own when it told them. */
export interface RequestEnd {
  /** finished: the pod answered in full (its own 4xx too). failed: no or half an answer. aborted: the client left. */
  readonly outcome: "finished" | "failed" | "aborted"
  readonly promptTokens?: number | undefined
  readonly cachedTokens?: number | undefined
  readonly outputTokens?: number | undefined
}

/** Why a request that we sent to a pod failed there. */
export interface PodFailure {
  /** The request's; it may have ended. */
  readonly reservation: number
  readonly why: string
  /** False: it may have been the request's own fault. */
  readonly sure: boolean
}

/**
 * How a front end asks the scheduler actor, without a fiber for each request.
 * Every resolved pick must be followed by one `end`.
 */
export interface SchedulerPort {
  /**
   * Picks a pod and reserves the load there; while every pod would queue the request, or none serves it for the moment,
   * it waits for that; with `excluded` pods before others of its band. Rejects with a GatewayError: UnknownModel, NoPodAvailable,
   * Overloaded (mailbox or open-request limit reached), QueueRefused (no room to wait, or waited too long),
   * TimedOut (no answer within the ask deadline).
   * `excluded` are pods that already failed this request.
   */
  readonly pick: (request: RequestFeatures, excluded?: ReadonlyArray<string>) => Promise<Decision>
  /** The client left before its pick resolved, so it need not wait on. The pick then never resolves to a decision. */
  readonly cancel: (request: RequestFeatures) => void
  /** Seconds after which a refused request may try again, by the pace at which those that wait go on; at least 1. */
  readonly retryAfterS: () => number
  readonly firstToken: (reservation: number) => void
  readonly end: (reservation: number, end: RequestEnd) => void
  /** Passive health. A client that left and an answer that blames the request are no failures of a pod. */
  readonly podFailed: (id: PodId, failure: PodFailure) => void
}
