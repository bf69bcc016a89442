import { Schema } from "effect"
import type { Scorer } from "../Plugin.ts"

export const type = "prefix-cache-scorer"

export const Config = Schema.Struct({
  /** Weight of the absolute match length against the matched share. */
  matchLengthWeight: Schema.optionalWith(Schema.Number.pipe(Schema.between(0, 1)), { default: () => 0 }),
  /** Matched tokens that count as a full absolute match. */
  matchLengthScaleTokens: Schema.optionalWith(Schema.Positive, { default: () => 8192 })
})
export type Config = typeof Config.Type

/** w·min(1, matched/scale)² + (1 − w)·matched/prompt, from our sketches. Source: llm-d prefix-cache-scorer. */
export const make = (config: Config): Scorer => (context, scores) => {
  const { matchLengthWeight: weight, matchLengthScaleTokens: scaleTokens } = config
  const promptTokens = Math.max(1, context.request.promptTokens)
  for (let i = 0; i < context.candidateCount; i++) {
    const hit = context.hitTokens[context.candidates[i] ?? 0] ?? 0
    const length = Math.min(1, hit / scaleTokens)
    scores[i] = weight * length * length + (1 - weight) * (hit / promptTokens)
  }
}
