import { Schema } from "effect"
import { keepRows } from "../keepRows.ts"
import type { Filter } from "../Plugin.ts"

export const type = "by-label"

export const Config = Schema.Struct({
  /** Name of the label. */
  label: Schema.NonEmptyString,
  /** A pod is kept whose label has one of these values. */
  validValues: Schema.optionalWith(Schema.Array(Schema.String), { default: () => [] }),
  /** Keep pods without the label too. */
  allowsNoLabel: Schema.optionalWith(Schema.Boolean, { default: () => false })
}).pipe(
  Schema.filter(({ allowsNoLabel, validValues }) =>
    allowsNoLabel || validValues.length > 0
      ? undefined
      : { path: ["validValues"], message: "is empty, and without allowsNoLabel no pod would be left" }
  )
)
export type Config = typeof Config.Type

/** Keeps the pods that a label speaks for. Source: llm-d by-label, on which its role filters are built. */
export const make = ({ allowsNoLabel, label, validValues }: Config): Filter => {
  const valid = new Set(validValues)
  return (context) => {
    const { addresses } = context.table
    keepRows(context, (row) => {
      const value = addresses[row]?.labels?.[label]
      return value === undefined ? allowsNoLabel : valid.has(value)
    })
  }
}
