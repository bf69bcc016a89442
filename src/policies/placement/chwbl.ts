import { Schema } from "effect"
import { openRequests } from "../../core/cost.ts"
import type { PolicyReasons } from "../../core/Explanation.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { HashRing } from "../HashRing.ts"
import { prefixKey } from "../hashKeys.ts"
import { leastCost } from "../leastCost.ts"
import { openRequestsMeasure, reasonsOf } from "../reasonsOf.ts"

export const type = "chwbl"

export const Config = Schema.Struct({
  /** A pod is passed over while it has more than this times the mean of open requests. */
  loadFactor: Schema.optionalWith(Schema.Number.pipe(Schema.greaterThanOrEqualTo(1)), { default: () => 1.25 }),
  /** Points of a pod on the ring. */
  replication: Schema.optionalWith(Schema.Int.pipe(Schema.between(1, 4096)), { default: () => 256 }),
  /** Prompt tokens that make the key; KubeAI's 100 characters are about 25. */
  prefixTokens: Schema.optionalWith(Schema.Int.pipe(Schema.positive()), { default: () => 25 })
})
export type Config = typeof Config.Type

/**
 * Consistent hashing with bounded loads: from the hash of the prompt's head along the ring to the first pod with
 * load ≤ loadFactor·(total + 1)/n. A prompt without a full block has no key and goes where fewest requests are open.
 * Source: KubeAI PrefixHash.
 */
export const make = (config: Config, podsMax: number): Policy => {
  const ring = new HashRing(config.replication)
  const isCandidate = new Uint8Array(podsMax)
  const pick = (context: PickContext): number => {
    ring.follow(context.table)
    const key = prefixKey(context, config.prefixTokens)
    if (key === 0) return leastCost(context, load)
    let total = 0
    for (let i = 0; i < context.candidateCount; i++) {
      const row = context.candidates[i] ?? 0
      isCandidate[row] = 1
      total += load(context, row)
    }
    const loadMax = total === 0 ? 0 : (config.loadFactor * (total + 1)) / context.candidateCount
    const row = firstUpTo(loadMax, context, ring, key, isCandidate)
    for (let i = 0; i < context.candidateCount; i++) isCandidate[context.candidates[i] ?? 0] = 0
    return row
  }
  const explain = (context: PickContext): PolicyReasons => {
    const why = prefixKey(context, config.prefixTokens) === 0
      ? "the prompt has no full block to go by, and it has the fewest open requests"
      : "it is the first on the ring after the prompt's head that is within the bound on its load"
    return reasonsOf(context, pick(context), why, [openRequestsMeasure])
  }
  return { type, pick, explain }
}

const load = (context: PickContext, row: number): number => openRequests(context.table, row)

/** Ends, since the candidate with the lowest load is never above the bound. */
const firstUpTo = (
  loadMax: number,
  context: PickContext,
  ring: HashRing,
  key: number,
  isCandidate: Uint8Array
): number => {
  const start = ring.positionOf(key)
  for (let step = 0; step < ring.size; step++) {
    const row = ring.rowAt((start + step) % ring.size)
    if (isCandidate[row] === 1 && load(context, row) <= loadMax) return row
  }
  return -1
}
