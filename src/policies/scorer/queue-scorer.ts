import { Schema } from "effect"
import type { Scorer } from "../Plugin.ts"
import { fewerIsBetter } from "./fewerIsBetter.ts"

export const type = "queue-scorer"

export const Config = Schema.Struct({})

/** (max − q) / (max − min) of the scraped waiting requests; all equal scores 1. Source: llm-d queue-scorer. */
export const make = (): Scorer => (context, scores) => fewerIsBetter(context, context.table.observedWaiting, scores)
