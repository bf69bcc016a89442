import { Schema } from "effect"
import type { PodLabels } from "../../core/Pod.ts"
import { keepRows } from "../keepRows.ts"
import type { Filter } from "../Plugin.ts"

export const type = "label-selector-filter"

const Requirement = Schema.Struct({
  key: Schema.NonEmptyString,
  operator: Schema.Literal("In", "NotIn", "Exists", "DoesNotExist"),
  /** For In and NotIn, at least one; not for the others. */
  values: Schema.optionalWith(Schema.Array(Schema.String), { default: () => [] })
}).pipe(
  Schema.filter(({ operator, values }) =>
    (operator === "In" || operator === "NotIn") === (values.length > 0)
      ? undefined
      : { path: ["values"], message: `must ${values.length > 0 ? "not be there" : "have a value"} with ${operator}` }
  )
)
type Requirement = typeof Requirement.Type

export const Config = Schema.Struct({
  /** Labels with the value that each must have. */
  matchLabels: Schema.optionalWith(Schema.Record({ key: Schema.String, value: Schema.String }), {
    default: () => ({})
  }),
  /** Requirements in Kubernetes' words. */
  matchExpressions: Schema.optionalWith(Schema.Array(Requirement), { default: () => [] })
})
export type Config = typeof Config.Type

/** Keeps the pods that Kubernetes' label selector fits; all must hold. Source: llm-d label-selector-filter. */
export const make = ({ matchExpressions, matchLabels }: Config): Filter => {
  const requirements: ReadonlyArray<Requirement> = [
    ...Object.entries(matchLabels).map(([key, value]) => ({ key, operator: "In", values: [value] }) as const),
    ...matchExpressions
  ]
  return (context) => {
    const { addresses } = context.table
    keepRows(context, (row) => {
      const labels = addresses[row]?.labels ?? none
      for (const requirement of requirements) if (!holds(requirement, labels)) return false
      return true
    })
  }
}

const none: PodLabels = {}

const holds = ({ key, operator, values }: Requirement, labels: PodLabels): boolean => {
  const value = labels[key]
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value)
    case "NotIn":
      return value === undefined || !values.includes(value)
    case "Exists":
      return value !== undefined
    case "DoesNotExist":
      return value === undefined
  }
}
