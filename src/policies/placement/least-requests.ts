import { Schema } from "effect"
import { openRequests } from "../../core/cost.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { leastCost } from "../leastCost.ts"
import { openRequestsMeasure, reasonsOf } from "../reasonsOf.ts"

export const type = "least-requests"

export const Config = Schema.Struct({})

const requests = (context: PickContext, row: number): number => openRequests(context.table, row)

/** Fewest requests open on the pod, ours counted at the pick and others' by the scrape; ties at random. */
export const make = (): Policy => ({
  type,
  pick: (context) => leastCost(context, requests),
  explain: (context) =>
    reasonsOf(context, leastCost(context, requests), "it has the fewest open requests", [openRequestsMeasure])
})
