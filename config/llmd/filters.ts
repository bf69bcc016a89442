import { Schema } from "effect"
import * as byLabel from "../../src/policies/filter/by-label.ts"
import * as concurrencyDetector from "../../src/policies/filter/concurrency-detector.ts"
import * as labelSelector from "../../src/policies/filter/label-selector-filter.ts"
import * as prefixCacheAffinity from "../../src/policies/filter/prefix-cache-affinity-filter.ts"
import * as probabilisticAdmitter from "../../src/policies/filter/probabilistic-admitter.ts"
import * as utilizationDetector from "../../src/policies/filter/utilization-detector.ts"
import * as utilization from "../../src/policies/filter/utilization-filter.ts"
import { perhaps } from "../schemaParts.ts"
import { GoDuration } from "./kubernetesText.ts"
import { described, formerly, type LlmdPlugin, llmdPlugin, producerName, withoutKeys } from "./LlmdPlugin.ts"
import { SessionParameters, sessionUse } from "./sessionAffinity.ts"

const none = Schema.Struct({})
const stays = "nothing: it has no filters"

const role = (type: string): LlmdPlugin =>
  llmdPlugin(type, ["filter"], none, () => ({
    support: "supported",
    note: "same roles by the label llm-d.ai/role",
    inMarginalCost: "nothing: discovery leaves pods out that serve no whole requests",
    filter: { type }
  }))

const selector = llmdPlugin("label-selector-filter", ["filter"], labelSelector.Config, (_, { parameters }) => ({
  support: "supported",
  note: "same selector, labels by discovery",
  inMarginalCost: stays,
  filter: described("label-selector-filter", withoutKeys(parameters))
}))

/** Before August 2026 the penalty could be written in tokens. */
const AffinityParameters = Schema.Struct({
  ...prefixCacheAffinity.Config.fields,
  maxTokensInFlightPenalty: perhaps(Schema.NonNegative),
  ttftSource: perhaps(
    Schema.Literal("prefillThroughput").annotations({
      message: () => "must be prefillThroughput: there is no latency predictor, whose place marginal-cost takes"
    })
  ),
  prefixMatchInfoProducerName: producerName,
  latencyPredictionInfoProducerName: producerName,
  inFlightLoadProducerName: producerName
})

const affinity = llmdPlugin("prefix-cache-affinity-filter", ["filter"], AffinityParameters, (parameters, plugin) => {
  const { affinityThreshold, explorationProbability, maxTokensInFlightPenalty = 0, peakPrefillThroughput } = parameters
  const maxTTFTPenaltyMs = maxTokensInFlightPenalty > 0
    ? (maxTokensInFlightPenalty / peakPrefillThroughput) * 1000
    : parameters.maxTTFTPenaltyMs
  return {
    support: "supported",
    note: "same thresholds on the pods' sketches and own reservations",
    inMarginalCost: "hysteresis: the pod with most hits is left only for a gain of 10 %",
    filter: described(
      plugin.type,
      affinityThreshold > 0
        ? { affinityThreshold, explorationProbability, maxTTFTPenaltyMs, peakPrefillThroughput }
        : { explorationProbability: 1 }
    )
  }
})

/** They gate the queue, and can stand in a profile too. */
export const detectors: ReadonlyArray<LlmdPlugin> = [
  llmdPlugin(
    "utilization-detector",
    ["detector", "filter"],
    Schema.Struct({
      queueDepthThreshold: utilizationDetector.Config.fields.queueDepthThreshold,
      kvCacheUtilThreshold: utilizationDetector.Config.fields.kvCacheUtilThreshold,
      headroom: utilizationDetector.Config.fields.headroom,
      metricsStalenessThreshold: perhaps(GoDuration)
    }),
    ({ metricsStalenessThreshold }, { parameters, type }) => ({
      support: "supported",
      note: metricsStalenessThreshold === undefined
        ? "as a filter the same limits; scrapes of 2 s ago still count, since they come each second"
        : "as a filter the same limits",
      inMarginalCost: stays,
      filter: described(type, {
        ...withoutKeys(parameters, "metricsStalenessThreshold"),
        stalenessS: metricsStalenessThreshold ?? STALENESS_S
      })
    })
  ),
  llmdPlugin(
    "concurrency-detector",
    ["detector", "filter"],
    Schema.Struct({ ...concurrencyDetector.Config.fields, inFlightLoadProducerName: producerName }),
    (_, { parameters, type }) => ({
      support: "supported",
      note: "as a filter the same limits on own reservations",
      inMarginalCost: stays,
      filter: described(type, withoutKeys(parameters, "inFlightLoadProducerName"))
    })
  )
]

/** llm-d scrapes every 50 ms and takes 200 ms for stale; here it is a second, and two misses. */
const STALENESS_S = 2

export const filters: ReadonlyArray<LlmdPlugin> = [
  selector,
  formerly("by-label-selector", selector),
  llmdPlugin("by-label", ["filter"], byLabel.Config, (_, { parameters }) => ({
    support: "supported",
    note: "same values, labels by discovery",
    inMarginalCost: stays,
    filter: described("by-label", withoutKeys(parameters))
  })),
  role("decode-filter"),
  role("prefill-filter"),
  role("encode-filter"),
  affinity,
  llmdPlugin(
    "utilization-filter",
    ["filter"],
    Schema.Struct({ ...utilization.Config.fields, inFlightLoadProducerName: producerName }),
    (_, { parameters, type }) => ({
      support: "supported",
      note: "same conditions",
      inMarginalCost: stays,
      filter: described(type, withoutKeys(parameters, "inFlightLoadProducerName"))
    })
  ),
  llmdPlugin(
    "session-affinity-filter",
    ["filter"],
    SessionParameters,
    (parameters, _, all) => sessionUse("filter", parameters, all)
  ),
  llmdPlugin(
    "topology-affinity-filter",
    ["filter"],
    Schema.Struct({
      minAffinity: perhaps(Schema.Literal("host", "rack", "zone", "region")),
      topologyProducerName: producerName
    }),
    () => ({
      support: "not needed",
      note: "without disaggregation it keeps every pod, in llm-d too",
      inMarginalCost: "nothing"
    })
  ),
  // It has no place in a profile: listed, it admits requests before all filters.
  llmdPlugin("probabilistic-admitter", ["producer"], probabilisticAdmitter.Config, (_, { parameters, type }) => ({
    support: "supported",
    note: "same chance, before all filters; refused with 429",
    inMarginalCost: stays,
    filter: described(type, withoutKeys(parameters))
  })),
  ...detectors
]
