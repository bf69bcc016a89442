import { Schema } from "effect"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { onlyOrder } from "../onlyOrder.ts"

export const type = "round-robin"

export const Config = Schema.Struct({
  /** Models whose turn is remembered; beyond, the one known longest starts anew. */
  modelsMax: Schema.optionalWith(Schema.Int.pipe(Schema.positive()), { default: () => 1024 })
})

/**
 * The next row after the last one served, so that pods coming and going never skew the turn. Each model has a turn of
 * its own, since with one for all the requests of other models decide which of its pods a model gets.
 */
export const make = ({ modelsMax }: typeof Config.Type): Policy => {
  const lastByModel = new Map<string, number>()
  let last = -1
  // Where others are: models that are asked for once would all go to the first pod otherwise.
  const next = (context: PickContext): number => rowAfter(lastByModel.get(context.request.model) ?? last, context)
  return {
    type,
    pick: (context) => {
      last = next(context)
      lastByModel.set(context.request.model, last)
      const oldest = lastByModel.keys().next().value
      if (lastByModel.size > modelsMax && oldest !== undefined) lastByModel.delete(oldest)
      return last
    },
    explain: (context) => onlyOrder(next(context), "it is next in turn")
  }
}

const rowAfter = (last: number, context: PickContext): number => {
  let next = -1
  let first = -1
  for (let i = 0; i < context.candidateCount; i++) {
    const row = context.candidates[i] ?? 0
    if (first < 0 || row < first) first = row
    if (row > last && (next < 0 || row < next)) next = row
  }
  return next < 0 ? first : next
}
