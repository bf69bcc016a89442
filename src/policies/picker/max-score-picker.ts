import { Schema } from "effect"
import type { Picker } from "../Plugin.ts"

export const type = "max-score-picker"

export const Config = Schema.Struct({})

/** The highest sum; ties at random. Source: llm-d max-score-picker. */
export const make = (): Picker => (context, scores) => {
  let best = -1
  let bestScore = Number.NEGATIVE_INFINITY
  let ties = 0
  for (let i = 0; i < context.candidateCount; i++) {
    const score = scores[i] ?? 0
    if (score > bestScore) {
      best = i
      bestScore = score
      ties = 1
    } else if (score === bestScore) {
      ties++
      if (context.random() * ties < 1) best = i
    }
  }
  return context.candidates[best] ?? -1
}
