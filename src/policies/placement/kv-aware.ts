import { Schema } from "effect"
import { openRequests } from "../../core/cost.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { leastCost } from "../leastCost.ts"

export const type = "kv-aware"

export const Config = Schema.Struct({})

/** LMetric: (uncached tokens of this request + of those still prefilling there) · (open requests + 1). */
const cost = ({ table, request, hitTokens }: PickContext, row: number): number =>
  (request.promptTokens - (hitTokens[row] ?? 0) + (table.prefillAheadTokens[row] ?? 0)) *
  (openRequests(table, row) + 1)

/** The lowest LMetric; ties at random. Source: vllm-router kv_aware at temperature 0, LMetric (arXiv 2603.15202). */
export const make = (): Policy => ({ type, pick: (context) => leastCost(context, cost) })
