import { Schema } from "effect"
import type { Scorer } from "../Plugin.ts"

export const type = "token-load-scorer"

export const Config = Schema.Struct({
  /** Uncached tokens in flight at which the score reaches 0. */
  queueThresholdTokens: Schema.optionalWith(Schema.Positive, { default: () => 4_194_304 })
})
export type Config = typeof Config.Type

/** 1 − min(1, (uncached tokens in flight + this request's) / threshold). Source: llm-d token-load-scorer. */
export const make = (config: Config): Scorer => (context, scores) => {
  const { table, request, hitTokens } = context
  for (let i = 0; i < context.candidateCount; i++) {
    const row = context.candidates[i] ?? 0
    const tokens = (table.prefillAheadTokens[row] ?? 0) + request.promptTokens - (hitTokens[row] ?? 0)
    scores[i] = 1 - Math.min(1, tokens / config.queueThresholdTokens)
  }
}
