import { Schema } from "effect"
import { ContextRanges } from "../ContextRanges.ts"
import { keepRows } from "../keepRows.ts"
import type { Filter } from "../Plugin.ts"

export const type = "context-length-aware"

export const Config = Schema.Struct({
  /** Label of the pods with the range, `min-max` in tokens. */
  label: Schema.optionalWith(Schema.NonEmptyString, { default: () => "llm-d.ai/context-length-range" })
})
export type Config = typeof Config.Type

/** Keeps the pods whose range holds the prompt's length, and those without one. Source: llm-d context-length-aware. */
export const make = ({ label }: Config, podsMax: number): Filter => {
  const ranges = new ContextRanges(label, podsMax)
  return (context) => {
    const { request: { promptTokens }, table } = context
    keepRows(context, (row) => {
      const kind = ranges.kindOf(table, row)
      return kind === "none" ||
        (kind === "range" && promptTokens >= ranges.leastOf(row) && promptTokens <= ranges.mostOf(row))
    })
  }
}
