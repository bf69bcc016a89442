import { Schema } from "effect"
import type { Scorer } from "../Plugin.ts"
import { fewerIsBetter } from "./fewerIsBetter.ts"

export const type = "running-requests-size-scorer"

export const Config = Schema.Struct({})

/** (max − r) / (max − min) of the scraped running requests. Source: llm-d running-requests-size-scorer. */
export const make = (): Scorer => (context, scores) => fewerIsBetter(context, context.table.observedRunning, scores)
