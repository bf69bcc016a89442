import type { ReasonColumn } from "../../core/Explanation.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"
import type { Filter, Picker, Scorer } from "../Plugin.ts"

export const type = "weighted"

/**
 * llm-d's profile: filters narrow the candidates, scorers rate them, a picker takes one by the weighted sum.
 * Scores are clamped to [0, 1] here, so that a weight means the same for every scorer.
 */
export const make = (profile: {
  readonly filters: ReadonlyArray<Filter>
  readonly scorers: ReadonlyArray<{ readonly name: string; readonly scorer: Scorer; readonly weight: number }>
  readonly picker: Picker
  readonly podsMax: number
}): Policy => {
  const scores = new Float64Array(profile.podsMax)
  const sums = new Float64Array(profile.podsMax)
  /** Filters, rates and picks; writes nothing that a later pick sees. `note` gets each scorer's scores in turn. */
  const choose = (context: PickContext, note?: (scores: Float64Array) => void): number => {
    for (const filter of profile.filters) filter(context)
    const count = context.candidateCount
    if (count === 0) return -1
    sums.fill(0, 0, count)
    for (const { scorer, weight } of profile.scorers) {
      scorer(context, scores)
      for (let i = 0; i < count; i++) {
        const score = Math.min(1, Math.max(0, scores[i] ?? 0))
        scores[i] = score
        sums[i] = (sums[i] ?? 0) + weight * score
      }
      note?.(scores)
    }
    return profile.picker(context, sums)
  }
  return {
    type,
    pick: (context) => {
      const row = choose(context)
      if (row < 0) return row
      for (const filter of profile.filters) filter.placed?.(context, row)
      for (const { scorer } of profile.scorers) scorer.placed?.(context, row)
      return row
    },
    explain: (context) => {
      const noted: Array<Float64Array> = []
      const row = choose(context, (scores) => noted.push(scores.slice(0, context.candidateCount)))
      noted.push(sums.slice(0, context.candidateCount))
      return {
        row,
        why: whyChosen(context, sums, row),
        columns: [
          ...profile.scorers.map(({ name, weight }) => ({ key: name, title: name, unit: "", weight }) as const),
          sumColumn
        ],
        values: new Map(
          [...context.candidates.subarray(0, context.candidateCount)].map((row, i) => [
            row,
            Float64Array.from(noted, (column) => column[i] ?? 0)
          ])
        )
      }
    }
  }
}

const sumColumn: ReasonColumn = { key: "sum", title: "weighted sum", unit: "" }

const whyChosen = (context: PickContext, sums: Float64Array, row: number): string => {
  if (row < 0) return "the policy's filters refuse every pod"
  if (context.candidateCount === 1) return "it is the only pod that the filters leave"
  const of = [...sums.subarray(0, context.candidateCount)]
  const highest = Math.max(...of)
  const own = of[context.candidates.indexOf(row)] ?? 0
  if (own < highest) return `the picker drew it with a weighted sum of ${own.toFixed(2)}`
  const others = of.filter((sum) => sum === highest).length - 1
  return `it has the highest weighted sum, ${own.toFixed(2)}${
    others === 0 ? "" : `, as ${others} other${others === 1 ? " has" : "s have"}: one of them at random`
  }`
}
