import { Schema } from "effect"
import { predictTtftS } from "../../core/cost.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { leastCost } from "../leastCost.ts"

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
  return { type, pick: (context) => leastCost(context, cost) }
}
