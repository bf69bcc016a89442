import { Schema } from "effect"
import type { Scorer } from "../Plugin.ts"

export const type = "load-aware-scorer"

export const Config = Schema.Struct({
  /** Waiting requests at which the score is 0. */
  threshold: Schema.optionalWith(Schema.Positive, { default: () => 128 })
})
export type Config = typeof Config.Type

/** 0.5·(1 − q/threshold) of the scraped waiting requests q, never below 0. Source: llm-d load-aware-scorer. */
export const make = (config: Config): Scorer => (context, scores) => {
  for (let i = 0; i < context.candidateCount; i++) {
    const waiting = context.table.observedWaiting[context.candidates[i] ?? 0] ?? 0
    scores[i] = Math.max(0, 0.5 * (1 - waiting / config.threshold))
  }
}
