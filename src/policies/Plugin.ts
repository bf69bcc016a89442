import type { PickContext } from "../core/Policy.ts"

/** Compacts `context.candidates` in place to those it keeps. */
export type Filter = (context: PickContext) => void

/** Fills `scores[i]` for candidate i, in [0, 1] (the profile clamps); higher is better. */
export type Scorer = (context: PickContext, scores: Float64Array) => void

/** Chooses a row by the weighted sums, `scores[i]` for candidate i. At least one candidate is there. */
export type Picker = (context: PickContext, scores: Float64Array) => number
