import { Schema } from "effect"
import type { Picker } from "../Plugin.ts"

export const type = "weighted-random-picker"

export const Config = Schema.Struct({})

/** With a chance in proportion to the sums; no positive sum: uniform. Source: llm-d weighted-random-picker. */
export const make = (): Picker => (context, scores) => {
  let total = 0
  for (let i = 0; i < context.candidateCount; i++) total += Math.max(0, scores[i] ?? 0)
  if (total <= 0) return context.candidates[Math.floor(context.random() * context.candidateCount)] ?? -1
  let left = context.random() * total
  for (let i = 0; i < context.candidateCount; i++) {
    left -= Math.max(0, scores[i] ?? 0)
    if (left < 0) return context.candidates[i] ?? -1
  }
  return context.candidates[context.candidateCount - 1] ?? -1
}
