import { Schema } from "effect"
import type { Picker } from "../Plugin.ts"

export const type = "random-picker"

export const Config = Schema.Struct({})

/** Any of the candidates that the filters left. Source: llm-d random-picker. */
export const make = (): Picker => (context) =>
  context.candidates[Math.floor(context.random() * context.candidateCount)] ?? -1
