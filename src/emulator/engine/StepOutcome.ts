import type { EngineRequest } from "./EngineRequest.ts"

/** What one call of `step` or `stepMany` did. Reused by the next call; visible to the world at `endS`. */
export interface StepOutcome<Owner> {
  startS: number
  endS: number
  /** Engine steps done; 0: there was nothing to do. */
  steps: number
  /** Tokens computed, of prompts and outputs. */
  tokens: number
  /** Requests whose first output token this is. */
  readonly firstTokens: Array<EngineRequest<Owner>>
  readonly finished: Array<EngineRequest<Owner>>
  readonly preempted: Array<EngineRequest<Owner>>
}

export const emptyOutcome = <Owner>(): StepOutcome<Owner> => ({
  startS: 0,
  endS: 0,
  steps: 0,
  tokens: 0,
  firstTokens: [],
  finished: [],
  preempted: []
})

/** Nothing done yet, at `nowS`. */
export const clearOutcome = (outcome: StepOutcome<unknown>, nowS: number): void => {
  outcome.startS = nowS
  outcome.endS = nowS
  outcome.steps = 0
  outcome.tokens = 0
  outcome.firstTokens.length = 0
  outcome.finished.length = 0
  outcome.preempted.length = 0
}
