import { Schema } from "effect"
import { openRequests } from "../../core/cost.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { openRequestsMeasure, reasonsOf } from "../reasonsOf.ts"

export const type = "power-of-two"

export const Config = Schema.Struct({})

/** Two different pods at random, and of them the one with fewer open requests. Source: vllm-router power_of_two. */
export const make = (): Policy => ({
  type,
  pick,
  explain: (context) =>
    reasonsOf(context, pick(context), "it has no more open requests than the other pod drawn", [openRequestsMeasure])
})

const pick = (context: PickContext): number => {
  const { table, candidates, candidateCount } = context
  const first = Math.floor(context.random() * candidateCount)
  if (candidateCount === 1) return candidates[first] ?? -1
  // Anything but the first, going on from it.
  const step = 1 + Math.floor(context.random() * (candidateCount - 1))
  const one = candidates[first] ?? -1
  const other = candidates[(first + step) % candidateCount] ?? -1
  return openRequests(table, other) < openRequests(table, one) ? other : one
}
