import type { Policy } from "../../core/Policy.ts"
import type { Filter, Picker, Scorer } from "../Plugin.ts"

export const type = "weighted"

/**
 * llm-d's profile: filters narrow the candidates, scorers rate them, a picker takes one by the weighted sum.
 * Scores are clamped to [0, 1] here, so that a weight means the same for every scorer.
 */
export const make = (profile: {
  readonly filters: ReadonlyArray<Filter>
  readonly scorers: ReadonlyArray<{ readonly scorer: Scorer; readonly weight: number }>
  readonly picker: Picker
  readonly podsMax: number
}): Policy => {
  const scores = new Float64Array(profile.podsMax)
  const sums = new Float64Array(profile.podsMax)
  return {
    type,
    pick: (context) => {
      for (const filter of profile.filters) filter(context)
      const count = context.candidateCount
      if (count === 0) return -1
      sums.fill(0, 0, count)
      for (const { scorer, weight } of profile.scorers) {
        scorer(context, scores)
        for (let i = 0; i < count; i++) {
          sums[i] = (sums[i] ?? 0) + weight * Math.min(1, Math.max(0, scores[i] ?? 0))
        }
      }
      return profile.picker(context, sums)
    }
  }
}
