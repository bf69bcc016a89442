import { Schema } from "effect"
import { openRequests } from "../../core/cost.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { leastCost } from "../leastCost.ts"

export const type = "least-requests"

export const Config = Schema.Struct({})

const requests = (context: PickContext, row: number): number => openRequests(context.table, row)

/** Fewest requests open on the pod, ours counted at the pick and others' by the scrape; ties at random. */
export const make = (): Policy => ({
  type,
  pick: (context) => leastCost(context, requests),
  explain: (context) => ({
    row: leastCost(context, requests),
    why: "it has the fewest open requests",
    columns: [{ key: "openRequests", title: "open requests", unit: "" }],
    values: new Map(
      [...context.candidates.subarray(0, context.candidateCount)].map((row) => [
        row,
        Float64Array.of(requests(context, row))
      ])
    )
  })
})
