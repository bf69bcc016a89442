import { Schema } from "effect"
import type { PickContext } from "../../core/Policy.ts"
import type { Filter } from "../Plugin.ts"

export const type = "probabilistic-admitter"

export const Config = Schema.Struct({
  /** Waiting requests at which a pod is saturated. */
  queueDepthThreshold: Schema.optionalWith(Schema.Int.pipe(Schema.positive()), { default: () => 5 }),
  /** Share of the KV cache in use at which it is. */
  kvCacheUtilThreshold: Schema.optionalWith(Schema.Positive, { default: () => 0.8 }),
  power: Schema.optionalWith(Schema.Positive, { default: () => 5 }),
  k: Schema.optionalWith(Schema.Positive, { default: () => 300 })
})
export type Config = typeof Config.Type

/**
 * Refuses requests of a negative priority with a chance of min(1, saturation^power · k), where saturation is the mean
 * over the pods of max(waiting / threshold, KV usage / threshold). Source: llm-d probabilistic-admitter.
 */
export const make = (config: Config): Filter => (context) => {
  if ((context.request.wish?.priority ?? 0) >= 0 || context.candidateCount === 0) return
  const chance = Math.min(1, saturation(context, config) ** config.power * config.k)
  if (context.random() < chance) context.candidateCount = 0
}

const saturation = (context: PickContext, { kvCacheUtilThreshold, queueDepthThreshold }: Config): number => {
  const { candidateCount, candidates, table } = context
  let sum = 0
  for (let i = 0; i < candidateCount; i++) {
    const row = candidates[i] ?? 0
    const queue = (table.observedWaiting[row] ?? 0) / queueDepthThreshold
    const kv = (table.observedKvUsage[row] ?? 0) / kvCacheUtilThreshold
    sum += (table.observedAtS[row] ?? -1) < 0 ? 1 : Math.max(queue, kv)
  }
  return sum / candidateCount
}
