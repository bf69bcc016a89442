import { Schema } from "effect"
import { openRequests } from "../../core/cost.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { leastCost } from "../leastCost.ts"
import { type Measure, openRequestsMeasure, reasonsOf } from "../reasonsOf.ts"

export const type = "kv-aware"

export const Config = Schema.Struct({})

/** Uncached tokens of this request and of those still prefilling there. */
const prefillTokens = ({ table, request, hitTokens }: PickContext, row: number): number =>
  request.promptTokens - (hitTokens[row] ?? 0) + (table.prefillAheadTokens[row] ?? 0)

/** LMetric: prefill tokens · (open requests + 1). */
const cost = (context: PickContext, row: number): number =>
  prefillTokens(context, row) * (openRequests(context.table, row) + 1)

const measures: ReadonlyArray<Measure> = [
  { key: "prefillTokens", title: "prefill tokens", unit: "", of: prefillTokens },
  openRequestsMeasure,
  { key: "cost", title: "tokens × requests", unit: "", of: cost }
]

/** The lowest LMetric; ties at random. Source: vllm-router kv_aware at temperature 0, LMetric (arXiv 2603.15202). */
export const make = (): Policy => ({
  type,
  pick: (context) => leastCost(context, cost),
  explain: (context) =>
    reasonsOf(context, leastCost(context, cost), "it has the lowest product of tokens and requests", measures)
})
