import { Either, Schema } from "effect"
import { makePolicy, type PolicyDescription, policyTypes } from "../src/policies/registry.ts"
import { perhaps, reading, setting, unknownName } from "./schemaParts.ts"

const parameters = perhaps(Schema.Record({ key: Schema.String, value: Schema.Unknown }))

const Plugin = Schema.Struct({
  /** File name of the plug-in below `src/policies/`. */
  type: Schema.String,
  /** Its own settings. Default: none, each has its default. */
  parameters
})

const WeightedScorer = Schema.Struct({
  ...Plugin.fields,
  /** What its score, in [0, 1], is multiplied by. Default 1. */
  weight: setting(Schema.NonNegative, 1)
})

const Written = Schema.Struct({
  /** Name of a policy or of a preset profile. Default `marginal-cost`. */
  type: setting(
    Schema.String.pipe(
      Schema.filter((name) => policyTypes.includes(name) || unknownName("policy", name, policyTypes))
    ),
    "marginal-cost"
  ),
  /** Its own settings; not for `weighted`. Default: none, each has its default. */
  parameters,
  /** Only for `weighted`: narrow the pods, in order. Default none. */
  filters: perhaps(Schema.Array(Plugin)),
  /** Only for `weighted`: rate the pods that are left. At least one, or an empty list behind filters. */
  scorers: perhaps(Schema.Array(WeightedScorer)),
  /** Only for `weighted`: takes one by the weighted sums. Default `max-score-picker`. */
  picker: perhaps(Plugin)
})

const describe = (written: typeof Written.Type): Either.Either<PolicyDescription, string> => {
  const { type, parameters, filters, scorers, picker } = written
  const profileKey = filters !== undefined ? "filters" : scorers !== undefined ? "scorers" : picker && "picker"
  if (type !== "weighted") {
    return profileKey === undefined
      ? Either.right(parameters === undefined ? { type } : { type, parameters })
      : Either.left(`has "${profileKey}", which only the policy "weighted" takes; remove it or write type: weighted`)
  }
  if (parameters !== undefined) return Either.left(`"weighted" has no parameters; they go below a scorer or a filter`)
  if (scorers === undefined || (scorers.length === 0 && (filters ?? []).length === 0)) {
    return Either.left(
      `"weighted" needs at least one scorer; write scorers: [{ type: prefix-cache-scorer, weight: 3 }]`
    )
  }
  return Either.right({ type, filters: filters ?? [], scorers, picker: picker ?? { type: "max-score-picker" } })
}

/** The policy and its parameters, checked by the plug-ins' own schemas. */
export const PolicySection: Schema.Schema<PolicyDescription, typeof Written.Encoded> = reading(
  Written,
  (written) =>
    Either.flatMap(describe(written), (description) =>
      // Built to be checked and dropped: one pod is enough for that.
      Either.map(makePolicy(description, 1), () => description)),
  (description) => description as typeof Written.Type
)
