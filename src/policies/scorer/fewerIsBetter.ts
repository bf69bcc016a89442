import type { PickContext } from "../../core/Policy.ts"

/** Min-max normalised column, turned over: the smallest scores 1, the largest 0, all equal 1. */
export const fewerIsBetter = (context: PickContext, column: Float64Array, scores: Float64Array): void => {
  let min = Number.POSITIVE_INFINITY
  let max = Number.NEGATIVE_INFINITY
  for (let i = 0; i < context.candidateCount; i++) {
    const value = column[context.candidates[i] ?? 0] ?? 0
    if (value < min) min = value
    if (value > max) max = value
  }
  for (let i = 0; i < context.candidateCount; i++) {
    const value = column[context.candidates[i] ?? 0] ?? 0
    scores[i] = max === min ? 1 : (max - value) / (max - min)
  }
}
