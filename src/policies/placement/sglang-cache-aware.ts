import { Schema } from "effect"
import { openRequests } from "../../core/cost.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { leastCost } from "../leastCost.ts"
import { mostHits } from "../mostHits.ts"
import { type Measure, openRequestsMeasure, reasonsOf } from "../reasonsOf.ts"
import { RowOwners } from "../RowOwners.ts"

export const type = "sglang-cache-aware"

export const Config = Schema.Struct({
  /** Share of the prompt that must be cached for the pod that has it to be taken. */
  cacheThreshold: Schema.optionalWith(Schema.Number.pipe(Schema.between(0, 1)), { default: () => 0.3 }),
  /** The fleet is out of balance when its loads differ by more than this many requests… */
  balanceAbsThreshold: Schema.optionalWith(Schema.NonNegative, { default: () => 64 }),
  /** …and the highest is more than this times the lowest. */
  balanceRelThreshold: Schema.optionalWith(Schema.NonNegative, { default: () => 1.5 }),
  /** A tree never counts as larger than this; SGLang's 2^26 characters at four a token. */
  maxTreeTokens: Schema.optionalWith(Schema.Positive, { default: () => 2 ** 24 })
})
export type Config = typeof Config.Type

/**
 * Out of balance (max − min > abs and max > min·rel): the shortest queue. Else hit/prompt > cacheThreshold: the pod
 * with most hits; else the smallest tree. Ties at random. Hits are our sketches', and the tree of a pod is the uncached
 * prompt tokens that were sent there since it joined. Source: sgl-router cache_aware as it was before SMG.
 */
export const make = (config: Config, podsMax: number): Policy => {
  const owners = new RowOwners()
  const treeTokens = new Float64Array(podsMax)
  const treeSize = (context: PickContext, row: number): number => {
    if (owners.changed(context.table, row)) treeTokens[row] = 0
    return treeTokens[row] ?? 0
  }
  const choose = (context: PickContext, note?: (why: string) => void): number => {
    if (outOfBalance(config, context)) {
      note?.("the fleet is out of balance, and it has the fewest open requests")
      return leastCost(context, load)
    }
    const matched = mostHits(context, anyOfThem)
    if ((context.hitTokens[matched] ?? 0) > config.cacheThreshold * context.request.promptTokens) {
      note?.("it holds most of the prompt")
      return matched
    }
    note?.("no pod holds enough of the prompt, and it has the smallest tree")
    return leastCost(context, treeSize)
  }
  const measures: ReadonlyArray<Measure> = [
    openRequestsMeasure,
    { key: "treeTokens", title: "tokens in its tree", unit: "", of: treeSize }
  ]
  return {
    type,
    pick: (context) => {
      const row = choose(context)
      const newTokens = context.request.promptTokens - (context.hitTokens[row] ?? 0)
      treeTokens[row] = Math.min(config.maxTreeTokens, treeSize(context, row) + newTokens)
      return row
    },
    explain: (context) => {
      let why = ""
      const row = choose(context, (found) => why = found)
      return reasonsOf(context, row, why, measures)
    }
  }
}

const load = (context: PickContext, row: number): number => openRequests(context.table, row)

const anyOfThem = (): number => 0

const outOfBalance = (config: Config, context: PickContext): boolean => {
  let max = 0
  let min = Number.POSITIVE_INFINITY
  for (let i = 0; i < context.candidateCount; i++) {
    const requests = openRequests(context.table, context.candidates[i] ?? 0)
    if (requests > max) max = requests
    if (requests < min) min = requests
  }
  return max - min > config.balanceAbsThreshold && max > min * config.balanceRelThreshold
}
