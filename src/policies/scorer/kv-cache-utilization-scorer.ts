import { Schema } from "effect"
import type { Scorer } from "../Plugin.ts"

export const type = "kv-cache-utilization-scorer"

export const Config = Schema.Struct({})

/** 1 − the scraped KV cache usage. Source: llm-d kv-cache-utilization-scorer. */
export const make = (): Scorer => (context, scores) => {
  for (let i = 0; i < context.candidateCount; i++) {
    scores[i] = 1 - (context.table.observedKvUsage[context.candidates[i] ?? 0] ?? 0)
  }
}
