import { Schema } from "effect"
import { ownPrefillS, predictTtftS, prefillAheadS } from "../../core/cost.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { leastCost } from "../leastCost.ts"
import { type Measure, reasonsOf } from "../reasonsOf.ts"

export const type = "least-ttft"

export const Config = Schema.Struct({
  /** Weight of the wait for KV that running requests must give back first; Mooncake knows no such wait. */
  kvShortageWeight: Schema.optionalWith(Schema.NonNegative, { default: () => 0 })
})
export type Config = typeof Config.Type

/**
 * The lowest predicted TTFT = (prefill ahead + own prefill) · slowdown by decodes + half a step (T of DESIGN 5); ties
 * at random. Source: Mooncake's kvcache-aware scheduling, without its transfers of KV between pods, and with our
 * constants for its queue and prefill times.
 */
export const make = (config: Config): Policy => {
  const cost = (context: PickContext, row: number): number => predictTtftS(context, row, config.kvShortageWeight)
  const measures: ReadonlyArray<Measure> = [...prefillMeasures, { key: "ttftS", title: "TTFT", unit: "s", of: cost }]
  return {
    type,
    pick: (context) => leastCost(context, cost),
    explain: (context) => reasonsOf(context, leastCost(context, cost), "it has the lowest predicted TTFT", measures)
  }
}

const prefillMeasures: ReadonlyArray<Measure> = [
  {
    key: "prefillAheadS",
    title: "prefill ahead",
    unit: "s",
    of: (context, row) => prefillAheadS(context.table, row, context.nowS)
  },
  {
    key: "ownPrefillS",
    title: "own prefill",
    unit: "s",
    of: (context, row) => ownPrefillS(context.table, row, context.request.promptTokens, context.hitTokens[row] ?? 0)
  }
]
