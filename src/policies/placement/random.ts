import { Schema } from "effect"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { onlyOrder } from "../onlyOrder.ts"

export const type = "random"

export const Config = Schema.Struct({})

export const make = (): Policy => ({ type, pick, explain: (context) => onlyOrder(pick(context), "any pod will do") })

const pick = (context: PickContext): number =>
  context.candidates[Math.floor(context.random() * context.candidateCount)] ?? -1
