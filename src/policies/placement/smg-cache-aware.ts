import { Schema } from "effect"
import { openRequests } from "../../core/cost.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { leastCost } from "../leastCost.ts"
import { mostHits } from "../mostHits.ts"
import { openRequestsMeasure, reasonsOf } from "../reasonsOf.ts"

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
    const matched = mostHits(context, load)
    return verdictOn(config, context, matched) === "matched" ? matched : leastCost(context, load)
  },
  explain: (context) => {
    const matched = mostHits(context, load)
    const verdict = verdictOn(config, context, matched)
    const row = verdict === "matched" ? matched : leastCost(context, load)
    return reasonsOf(context, row, whys[verdict], [openRequestsMeasure])
  }
})

type Verdict = "matched" | "overloaded" | "cold"

const whys: Readonly<Record<Verdict, string>> = {
  matched: "it holds most of the prompt",
  overloaded: "the pod that holds most of the prompt has too many open requests, and it has the fewest",
  cold: "no pod holds enough of the prompt, and it has the fewest open requests"
}

const verdictOn = (config: Config, context: PickContext, matched: number): Verdict => {
  const { table, request, hitTokens, candidates, candidateCount } = context
  if ((hitTokens[matched] ?? 0) <= config.cacheThreshold * request.promptTokens) return "cold"
  let total = 0
  for (let i = 0; i < candidateCount; i++) total += openRequests(table, candidates[i] ?? 0)
  const mean = total / candidateCount
  const own = openRequests(table, matched)
  return own > mean * config.balanceRel && own > mean + config.balanceAbs ? "overloaded" : "matched"
}

const load = (context: PickContext, row: number): number => openRequests(context.table, row)
