import type { PickContext } from "../core/Policy.ts"

/** Compacts `context.candidates` in place to those it keeps. */
export interface Filter {
  (context: PickContext): void
  /** For filters that remember: the row that the profile took, told after the same pick. */
  readonly placed?: (context: PickContext, row: number) => void
}

/** Fills `scores[i]` for candidate i, in [0, 1] (the profile clamps); higher is better. */
export interface Scorer {
  (context: PickContext, scores: Float64Array): void
  /** For scorers that remember: the row that the profile took, told after the scores of the same pick. */
  readonly placed?: (context: PickContext, row: number) => void
}

/** Chooses a row by the weighted sums, `scores[i]` for candidate i. At least one candidate is there. */
export type Picker = (context: PickContext, scores: Float64Array) => number
