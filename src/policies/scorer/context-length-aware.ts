import { Schema } from "effect"
import { ContextRanges } from "../ContextRanges.ts"
import type { Scorer } from "../Plugin.ts"

export const type = "context-length-aware"

export const Config = Schema.Struct({
  /** Label of the pods with the range, `min-max` in tokens. */
  label: Schema.optionalWith(Schema.NonEmptyString, { default: () => "llm-d.ai/context-length-range" })
})
export type Config = typeof Config.Type

/** The most that a pod scores for a prompt outside its range. */
const OUTSIDE_MAX = 0.3
const WIDTH_SCALE_TOKENS = 10_000
const DISTANCE_SCALE_TOKENS = 1_000

/**
 * Inside the range 0.3 + 0.7·(0.7/(1 + width/10,000) + 0.3·(max − length)/width), 1 when it is one length wide; outside
 * 0.3/(1 + distance/1,000); 0.5 without the label, 0 when it is no range. Source: llm-d context-length-aware.
 */
export const make = ({ label }: Config, podsMax: number): Scorer => {
  const ranges = new ContextRanges(label, podsMax)
  const scoreOf = (row: number, tokens: number): number => {
    const least = ranges.leastOf(row)
    const most = ranges.mostOf(row)
    if (tokens > most) return OUTSIDE_MAX / (1 + (tokens - most) / DISTANCE_SCALE_TOKENS)
    if (tokens < least) return OUTSIDE_MAX / (1 + (least - tokens) / DISTANCE_SCALE_TOKENS)
    const width = most - least
    if (width === 0) return 1
    const fit = 0.7 / (1 + width / WIDTH_SCALE_TOKENS) + 0.3 * ((most - tokens) / width)
    return OUTSIDE_MAX + fit * (1 - OUTSIDE_MAX)
  }
  return (context, scores) => {
    const { candidates, request, table } = context
    for (let i = 0; i < context.candidateCount; i++) {
      const row = candidates[i] ?? 0
      const kind = ranges.kindOf(table, row)
      scores[i] = kind === "none" ? 0.5 : kind === "wrong" ? 0 : scoreOf(row, request.promptTokens)
    }
  }
}
