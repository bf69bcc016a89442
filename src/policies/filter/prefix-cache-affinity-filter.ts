import { Schema } from "effect"
import type { Filter } from "../Plugin.ts"

export const type = "prefix-cache-affinity-filter"

export const Config = Schema.Struct({
  /** Share of the prompt that must be cached on a pod for it to be kept. */
  affinityThreshold: Schema.optionalWith(Schema.Number.pipe(Schema.between(0, 1)), { default: () => 0.8 }),
  /** Share of the requests that see every pod all the same. */
  explorationProbability: Schema.optionalWith(Schema.Number.pipe(Schema.between(0, 1)), { default: () => 0 }),
  /** Stickiness ends when the warm pod would make the request wait this much longer; 0: it never ends. */
  maxTTFTPenaltyMs: Schema.optionalWith(Schema.NonNegative, { default: () => 18_000 }),
  /** Prefill speed that turns tokens in flight into time. */
  peakPrefillThroughput: Schema.optionalWith(Schema.Positive, { default: () => 15_928 })
})
export type Config = typeof Config.Type

/**
 * Keeps the pods that hold most of the prompt, unless the best of them is too far behind the best of the others.
 * None is warm: keeps them all. Source: llm-d prefix-cache-affinity-filter, ttftSource prefillThroughput.
 */
export const make = (config: Config): Filter => (context) => {
  if (config.explorationProbability > 0 && context.random() < config.explorationProbability) return
  const { table, candidates, hitTokens, request } = context
  const threshold = config.affinityThreshold * request.promptTokens
  const penaltyTokens = (config.maxTTFTPenaltyMs / 1000) * config.peakPrefillThroughput
  let warm = 0
  let warmTokens = Number.POSITIVE_INFINITY
  let coldTokens = Number.POSITIVE_INFINITY
  for (let i = 0; i < context.candidateCount; i++) {
    const row = candidates[i] ?? 0
    const tokens = table.prefillAheadTokens[row] ?? 0
    if ((hitTokens[row] ?? 0) >= threshold) {
      warm++
      warmTokens = Math.min(warmTokens, tokens)
    } else {
      coldTokens = Math.min(coldTokens, tokens)
    }
  }
  if (warm === 0 || (config.maxTTFTPenaltyMs > 0 && warmTokens - coldTokens > penaltyTokens)) return
  let kept = 0
  for (let i = 0; i < context.candidateCount; i++) {
    const row = candidates[i] ?? 0
    if ((hitTokens[row] ?? 0) >= threshold) candidates[kept++] = row
  }
  context.candidateCount = kept
}
