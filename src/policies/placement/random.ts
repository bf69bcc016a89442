import { Schema } from "effect"
import type { Policy } from "../../core/Policy.ts"

export const type = "random"

export const Config = Schema.Struct({})

export const make = (): Policy => ({
  type,
  pick: (context) => context.candidates[Math.floor(context.random() * context.candidateCount)] ?? -1
})
