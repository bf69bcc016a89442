import { Schema } from "effect"
import type { Scorer } from "../Plugin.ts"

export const type = "active-request-scorer"

export const Config = Schema.Struct({
  /** Up to this many requests in flight a pod counts as idle. */
  idleThreshold: Schema.optionalWith(Schema.NonNegative, { default: () => 0 }),
  /** Best score of a pod that is not idle. */
  maxBusyScore: Schema.optionalWith(Schema.Number.pipe(Schema.between(0, 1)), { default: () => 1 })
})
export type Config = typeof Config.Type

/** Our own in-flight requests: idle scores 1, else (max − c) / max · maxBusyScore. Source: llm-d active-request-scorer. */
export const make = (config: Config): Scorer => (context, scores) => {
  const { table } = context
  let max = 0
  for (let i = 0; i < context.candidateCount; i++) {
    const row = context.candidates[i] ?? 0
    const count = (table.decoding[row] ?? 0) + (table.prefilling[row] ?? 0)
    scores[i] = count
    if (count > max) max = count
  }
  for (let i = 0; i < context.candidateCount; i++) {
    const count = scores[i] ?? 0
    scores[i] = count <= config.idleThreshold ? 1 : ((max - count) / max) * config.maxBusyScore
  }
}
