import { Schema } from "effect"
import type { LoraActivity } from "../../core/LoraActivity.ts"
import type { Scorer } from "../Plugin.ts"

export const type = "lora-affinity-scorer"

export const Config = Schema.Struct({})

/**
 * 1 where the model runs as an adapter, 0.8 where the batch has a place for one more, 0.6 where it waits, else 0.
 * Source: llm-d lora-affinity-scorer.
 */
export const make = (): Scorer => (context, scores) => {
  const { candidates, request: { model }, table } = context
  for (let i = 0; i < context.candidateCount; i++) scores[i] = scoreOf(table.lora[candidates[i] ?? 0] ?? idle, model)
}

/** A pod that tells nothing of adapters has, as llm-d counts, no place for one. */
const idle: LoraActivity = { adaptersMax: 0, running: [], waiting: [] }

const scoreOf = ({ adaptersMax, running, waiting }: LoraActivity, model: string): number => {
  if (running.includes(model)) return 1
  if (running.length + waiting.length < adaptersMax) return 0.8
  return waiting.includes(model) ? 0.6 : 0
}
