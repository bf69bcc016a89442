import { openRequests } from "../core/cost.ts"
import type { PolicyReasons, ReasonColumn } from "../core/Explanation.ts"
import type { PickContext } from "../core/Policy.ts"

/** A number that a policy works out for a candidate, and how. */
export interface Measure extends ReasonColumn {
  readonly of: (context: PickContext, row: number) => number
}

/** What `pick` does, and these numbers of every candidate. */
export const reasonsOf = (
  context: PickContext,
  row: number,
  why: string,
  measures: ReadonlyArray<Measure>
): PolicyReasons => ({
  row,
  why,
  columns: measures.map(({ key, title, unit }) => ({ key, title, unit })),
  values: new Map(
    [...context.candidates.subarray(0, context.candidateCount)].map((candidate) => [
      candidate,
      Float64Array.from(measures, ({ of }) => of(context, candidate))
    ])
  )
})

export const openRequestsMeasure: Measure = {
  key: "openRequests",
  title: "open requests",
  unit: "",
  of: ({ table }, row) => openRequests(table, row)
}
