import { Schema } from "effect"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { onlyOrder } from "../onlyOrder.ts"

export const type = "round-robin"

export const Config = Schema.Struct({})

/** The next row after the last one served, so that pods coming and going never skew the turn. */
export const make = (): Policy => {
  let last = -1
  return {
    type,
    pick: (context) => {
      last = rowAfter(last, context)
      return last
    },
    explain: (context) => onlyOrder(rowAfter(last, context), "it is next in turn")
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
