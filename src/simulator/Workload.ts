import type { Segment } from "./promptChain.ts"

/** A request before it is sent. Drawn without a look at the fleet, so that every policy gets the same ones. */
export interface PlannedRequest {
  /** Seconds after the start of its stage, or after the answer before it when it is a `next`. */
  readonly afterS: number
  readonly prompt: ReadonlyArray<Segment>
  /** The answer as later prompts may repeat it. */
  readonly output: Segment
  /** The client's `max_tokens`. */
  readonly outputTokensMax: number | undefined
  /** Names the session of a multi-turn request; 0: none. */
  readonly sessionHash: number
  /** What the same client asks once this was answered in full. */
  readonly next?: (() => PlannedRequest) | undefined
}

/** Requests that arrive one after another; a stage is over when all of them, and what follows them, have ended. */
export interface Stage {
  /** In order of `afterS`. */
  readonly arrivals: Iterator<PlannedRequest, unknown, undefined>
  /** What arrives before is served but not measured. */
  readonly warmUpS: number
  /** Clients of a closed loop stop asking then; undefined: they ask until they are done. */
  readonly lastAskS: number | undefined
}

export interface Workload {
  readonly name: string
  /** Requests or sessions, as far as they are known; for progress only. */
  readonly stages: ReadonlyArray<() => Stage>
  /** Between the end of one stage and the start of the next. */
  readonly pauseS: number
}

/** What every workload is made from. */
export interface WorkloadOptions {
  /** Requests a second, users at once, or a factor; the workload says which. */
  readonly load: number
  readonly seed: number
  /** Seconds in which requests arrive, instead of the workload's own. */
  readonly durationS?: number | undefined
}
