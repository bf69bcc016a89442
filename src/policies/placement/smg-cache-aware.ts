import { Schema } from "effect"
import { openRequests } from "../../core/cost.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { leastCost } from "../leastCost.ts"
import { mostHits } from "../mostHits.ts"

export const type = "smg-cache-aware"

export const Config = Schema.Struct({
  /** Share of the prompt that must be cached for the pod that has it to be taken. */
  cacheThreshold: Schema.optionalWith(Schema.Number.pipe(Schema.between(0, 1)), { default: () => 0.5 }),
  /** The matched pod is left when its load is above this times the mean… */
  balanceRel: Schema.optionalWith(Schema.NonNegative, { default: () => 1.1 }),
  /** …and also above the mean by more than this many requests. */
  balanceAbs: Schema.optionalWith(Schema.NonNegative, { default: () => 32 })
})
export type Config = typeof Config.Type

/**
 * match = hit/prompt > cacheThreshold: the pod with most hits (ties: lower load), unless load > mean·balanceRel and
 * load > mean + balanceAbs; else the lowest load. Load is open requests; ties at random. Source: SMG cache_aware.
 */
export const make = (config: Config): Policy => ({
  type,
  pick: (context) => {
    const { table, request, hitTokens, candidates, candidateCount } = context
    const matched = mostHits(context, load)
    if ((hitTokens[matched] ?? 0) <= config.cacheThreshold * request.promptTokens) return leastCost(context, load)
    let total = 0
    for (let i = 0; i < candidateCount; i++) total += openRequests(table, candidates[i] ?? 0)
    const mean = total / candidateCount
    const matchedLoad = openRequests(table, matched)
    const overloaded = matchedLoad > mean * config.balanceRel && matchedLoad > mean + config.balanceAbs
    return overloaded ? leastCost(context, load) : matched
  }
})

const load = (context: PickContext, row: number): number => openRequests(context.table, row)
