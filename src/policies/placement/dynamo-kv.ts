import { Schema } from "effect"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { leastCost } from "../leastCost.ts"
import { type Measure, reasonsOf } from "../reasonsOf.ts"

export const type = "dynamo-kv"

export const Config = Schema.Struct({
  /** What a cached block of this prompt takes off the prefill blocks. */
  overlapScoreCredit: Schema.optionalWith(Schema.NonNegative, { default: () => 1 }),
  /** Weight of the prefill blocks against the decode blocks. */
  prefillLoadScale: Schema.optionalWith(Schema.NonNegative, { default: () => 1 }),
  /** Block size of pods that have not told theirs. */
  blockSizeTokens: Schema.optionalWith(Schema.Positive, { default: () => 16 })
})
export type Config = typeof Config.Type

/**
 * prefillLoadScale · max(0, prefilling blocks + prompt blocks − credit · hit blocks) + decode blocks; lowest wins, ties
 * at random. Decode blocks are the KV in use on the pod with this request there: of the blocks it hits, as many as can
 * be are taken to be in use already. Blocks are not rounded. Source: Dynamo's KV router at temperature 0.
 */
export const make = (config: Config): Policy => {
  const blockTokens = ({ table }: PickContext, row: number): number =>
    table.blockSizeTokens[row] || config.blockSizeTokens
  const prefillBlocks = (context: PickContext, row: number): number => {
    const credit = config.overlapScoreCredit * (context.hitTokens[row] ?? 0)
    const tokens = (context.table.prefillAheadTokens[row] ?? 0) + context.request.promptTokens - credit
    return Math.max(0, tokens) / blockTokens(context, row)
  }
  const decodeBlocks = (context: PickContext, row: number): number => {
    const used = context.table.usedTokens[row] ?? 0
    const newTokens = context.request.promptTokens - Math.min(context.hitTokens[row] ?? 0, used)
    return (used + newTokens) / blockTokens(context, row)
  }
  const cost = (context: PickContext, row: number): number =>
    config.prefillLoadScale * prefillBlocks(context, row) + decodeBlocks(context, row)
  const measures: ReadonlyArray<Measure> = [
    { key: "prefillBlocks", title: "prefill blocks", unit: "", of: prefillBlocks },
    { key: "decodeBlocks", title: "decode blocks", unit: "", of: decodeBlocks },
    { key: "cost", title: "cost in blocks", unit: "", of: cost }
  ]
  return {
    type,
    pick: (context) => leastCost(context, cost),
    explain: (context) =>
      reasonsOf(context, leastCost(context, cost), "it has the lowest cost in prefill and decode blocks", measures)
  }
}
