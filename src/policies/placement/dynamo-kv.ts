import { Schema } from "effect"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { leastCost } from "../leastCost.ts"

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
  const cost = (context: PickContext, row: number): number => {
    const { table, request } = context
    const hit = context.hitTokens[row] ?? 0
    const used = table.usedTokens[row] ?? 0
    const prefill = (table.prefillAheadTokens[row] ?? 0) + request.promptTokens - config.overlapScoreCredit * hit
    const decode = used + request.promptTokens - Math.min(hit, used)
    return (config.prefillLoadScale * Math.max(0, prefill) + decode) /
      (table.blockSizeTokens[row] || config.blockSizeTokens)
  }
  return { type, pick: (context) => leastCost(context, cost) }
}
