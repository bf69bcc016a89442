import { Either, ParseResult, Schema } from "effect"
import type { Policy } from "../core/Policy.ts"
import * as byLabel from "./filter/by-label.ts"
import * as concurrencyDetector from "./filter/concurrency-detector.ts"
import * as contextLengthFilter from "./filter/context-length-aware.ts"
import * as decodeFilter from "./filter/decode-filter.ts"
import * as encodeFilter from "./filter/encode-filter.ts"
import * as labelSelectorFilter from "./filter/label-selector-filter.ts"
import * as prefillFilter from "./filter/prefill-filter.ts"
import * as prefixCacheAffinityFilter from "./filter/prefix-cache-affinity-filter.ts"
import * as probabilisticAdmitter from "./filter/probabilistic-admitter.ts"
import * as sessionAffinityFilter from "./filter/session-affinity-filter.ts"
import * as utilizationDetector from "./filter/utilization-detector.ts"
import * as utilizationFilter from "./filter/utilization-filter.ts"
import * as maxScorePicker from "./picker/max-score-picker.ts"
import * as randomPicker from "./picker/random-picker.ts"
import * as weightedRandomPicker from "./picker/weighted-random-picker.ts"
import * as chwbl from "./placement/chwbl.ts"
import * as dynamoKv from "./placement/dynamo-kv.ts"
import * as kvAware from "./placement/kv-aware.ts"
import * as leastRequests from "./placement/least-requests.ts"
import * as leastTtft from "./placement/least-ttft.ts"
import * as marginalCost from "./placement/marginal-cost.ts"
import * as powerOfTwo from "./placement/power-of-two.ts"
import * as preble from "./placement/preble.ts"
import * as random from "./placement/random.ts"
import * as roundRobin from "./placement/round-robin.ts"
import * as sessionHash from "./placement/session-hash.ts"
import * as sglangCacheAware from "./placement/sglang-cache-aware.ts"
import * as smgCacheAware from "./placement/smg-cache-aware.ts"
import * as smgLeastLoad from "./placement/smg-least-load.ts"
import * as weighted from "./placement/weighted.ts"
import type { Filter, Picker, Scorer } from "./Plugin.ts"
import * as activeRequestScorer from "./scorer/active-request-scorer.ts"
import * as contextLengthScorer from "./scorer/context-length-aware.ts"
import * as headerLabelAffinityScorer from "./scorer/header-label-affinity-scorer.ts"
import * as kvCacheUtilizationScorer from "./scorer/kv-cache-utilization-scorer.ts"
import * as loadAwareScorer from "./scorer/load-aware-scorer.ts"
import * as loraAffinityScorer from "./scorer/lora-affinity-scorer.ts"
import * as noHitLruScorer from "./scorer/no-hit-lru-scorer.ts"
import * as prefixCacheScorer from "./scorer/prefix-cache-scorer.ts"
import * as queueScorer from "./scorer/queue-scorer.ts"
import * as runningRequestsSizeScorer from "./scorer/running-requests-size-scorer.ts"
import * as sessionAffinityScorer from "./scorer/session-affinity-scorer.ts"
import * as tokenLoadScorer from "./scorer/token-load-scorer.ts"

/** A plug-in as an operator names it. */
export interface PluginDescription {
  readonly type: string
  readonly parameters?: Readonly<Record<string, unknown>> | undefined
}

export interface WeightedDescription {
  readonly type: typeof weighted.type
  readonly filters: ReadonlyArray<PluginDescription>
  readonly scorers: ReadonlyArray<PluginDescription & { readonly weight: number }>
  readonly picker: PluginDescription
}

export type PolicyDescription = PluginDescription | WeightedDescription

/** A plug-in's file: its name, the schema of its parameters, and its constructor. */
interface PluginModule<A, Config> {
  readonly type: string
  readonly Config: Schema.Schema<Config, any>
  readonly make: (config: Config, podsMax: number) => A
}

type Make<A> = (parameters: unknown, podsMax: number) => Either.Either<A, string>

const plugin = <A, Config>(module: PluginModule<A, Config>): readonly [string, Make<A>] => {
  const decode = Schema.decodeUnknownEither(module.Config, { onExcessProperty: "error", errors: "all" })
  return [module.type, (parameters, podsMax) =>
    Either.mapBoth(decode(parameters ?? {}), {
      onLeft: (error) => `${module.type}: ${ParseResult.ArrayFormatter.formatErrorSync(error).map(issue).join("; ")}`,
      onRight: (config) => module.make(config, podsMax)
    })]
}

const issue = (found: { readonly path: ReadonlyArray<PropertyKey>; readonly message: string }): string =>
  found.path.length === 0 ? found.message : `parameter "${found.path.map(String).join(".")}" ${found.message}`

const placements = new Map<string, Make<Policy>>([
  plugin(marginalCost),
  plugin(roundRobin),
  plugin(random),
  plugin(leastRequests),
  plugin(powerOfTwo),
  plugin(sessionHash),
  plugin(chwbl),
  plugin(smgCacheAware),
  plugin(smgLeastLoad),
  plugin(sglangCacheAware),
  plugin(kvAware),
  plugin(dynamoKv),
  plugin(leastTtft),
  plugin(preble)
])

const filters = new Map<string, Make<Filter>>([
  plugin(prefixCacheAffinityFilter),
  plugin(utilizationFilter),
  plugin(labelSelectorFilter),
  plugin(byLabel),
  plugin(decodeFilter),
  plugin(prefillFilter),
  plugin(encodeFilter),
  plugin(sessionAffinityFilter),
  plugin(contextLengthFilter),
  plugin(utilizationDetector),
  plugin(concurrencyDetector),
  plugin(probabilisticAdmitter)
])

const scorers = new Map<string, Make<Scorer>>([
  plugin(queueScorer),
  plugin(kvCacheUtilizationScorer),
  plugin(prefixCacheScorer),
  plugin(runningRequestsSizeScorer),
  plugin(activeRequestScorer),
  plugin(loadAwareScorer),
  plugin(noHitLruScorer),
  plugin(tokenLoadScorer),
  plugin(loraAffinityScorer),
  plugin(sessionAffinityScorer),
  plugin(headerLabelAffinityScorer),
  plugin(contextLengthScorer)
])

const pickers = new Map<string, Make<Picker>>([
  plugin(maxScorePicker),
  plugin(randomPicker),
  plugin(weightedRandomPicker)
])

const blend: WeightedDescription = {
  type: weighted.type,
  filters: [],
  scorers: [
    { type: queueScorer.type, weight: 2 },
    { type: kvCacheUtilizationScorer.type, weight: 2 },
    { type: prefixCacheScorer.type, weight: 3 }
  ],
  picker: { type: maxScorePicker.type }
}

/**
 * Profiles that go by a name. Source: llm-d's built-in default; its guides up to v0.8, which add no-hit-LRU 2; and its
 * optimized baseline of August 2026.
 */
const presets: Readonly<Record<string, WeightedDescription>> = {
  "llm-d-blend": blend,
  "llm-d-blend-lru": { ...blend, scorers: [...blend.scorers, { type: noHitLruScorer.type, weight: 2 }] },
  "llm-d-2026-08": {
    type: weighted.type,
    filters: [{ type: prefixCacheAffinityFilter.type }],
    scorers: [{ type: tokenLoadScorer.type, weight: 1 }],
    picker: { type: maxScorePicker.type }
  }
}

/** The types that a description may have. */
export const policyTypes: ReadonlyArray<string> = [...placements.keys(), weighted.type, ...Object.keys(presets)]

/** Those that are a policy by their name alone. */
export const policyNames: ReadonlyArray<string> = policyTypes.filter((type) => type !== weighted.type)

/** Builds a policy out of its description. Left: what is wrong with it, in words. */
export const makePolicy = (description: PolicyDescription, podsMax: number): Either.Either<Policy, string> => {
  const profile = presets[description.type] ?? description
  if (isWeighted(profile)) return makeWeighted(profile, podsMax)
  if (profile.type === weighted.type) return Either.left(`"${weighted.type}" is a policy only with scorers of its own`)
  return lookUp("policy", placements, profile, podsMax, policyNames)
}

const isWeighted = (description: PolicyDescription): description is WeightedDescription =>
  description.type === weighted.type && "scorers" in description

const makeWeighted = (description: WeightedDescription, podsMax: number): Either.Either<Policy, string> =>
  Either.gen(function*() {
    const profileFilters: Array<Filter> = []
    for (const filter of description.filters) profileFilters.push(yield* lookUp("filter", filters, filter, podsMax))
    const profileScorers: Array<{ readonly name: string; readonly scorer: Scorer; readonly weight: number }> = []
    for (const scorer of description.scorers) {
      profileScorers.push({
        name: scorer.type,
        scorer: yield* lookUp("scorer", scorers, scorer, podsMax),
        weight: scorer.weight
      })
    }
    const picker = yield* lookUp("picker", pickers, description.picker, podsMax)
    return weighted.make({ filters: profileFilters, scorers: profileScorers, picker, podsMax })
  })

const lookUp = <A>(
  kind: string,
  known: ReadonlyMap<string, Make<A>>,
  description: PluginDescription,
  podsMax: number,
  names: ReadonlyArray<string> = [...known.keys()]
): Either.Either<A, string> => {
  const make = known.get(description.type)
  return make === undefined
    ? Either.left(`there is no ${kind} "${description.type}"; there are: ${names.join(", ")}`)
    : make(description.parameters, podsMax)
}
