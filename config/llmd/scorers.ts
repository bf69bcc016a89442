import { Schema } from "effect"
import * as activeRequest from "../../src/policies/scorer/active-request-scorer.ts"
import * as contextLength from "../../src/policies/scorer/context-length-aware.ts"
import * as headerLabelAffinity from "../../src/policies/scorer/header-label-affinity-scorer.ts"
import * as loadAware from "../../src/policies/scorer/load-aware-scorer.ts"
import * as noHitLru from "../../src/policies/scorer/no-hit-lru-scorer.ts"
import * as prefixCache from "../../src/policies/scorer/prefix-cache-scorer.ts"
import * as tokenLoad from "../../src/policies/scorer/token-load-scorer.ts"
import { perhaps } from "../schemaParts.ts"
import { described, ignored, type LlmdPlugin, llmdPlugin, producerName, withoutKeys } from "./LlmdPlugin.ts"
import { SessionParameters, sessionUse } from "./sessionAffinity.ts"

/** A scorer that has the same name and formula here; `dropped` are parameters that ours does not have. */
const same = <A, I>(
  type: string,
  Parameters: Schema.Schema<A, I>,
  note: string,
  inMarginalCost: string,
  ...dropped: ReadonlyArray<string>
): LlmdPlugin =>
  llmdPlugin(type, ["scorer"], Parameters, (_, plugin) => ({
    support: "supported",
    note,
    inMarginalCost,
    scorer: described(type, withoutKeys(plugin.parameters, ...dropped))
  }))

const none = Schema.Struct({})
const queued = "T and Q: the prefill that waits there, in seconds, by own reservations"
const cached = "T: own prefill, without what the pod holds"
const notInIt = "nothing: it does not know this"

export const scorers: ReadonlyArray<LlmdPlugin> = [
  same("queue-scorer", none, "same formula, waiting requests as scraped", queued),
  same(
    "running-requests-size-scorer",
    none,
    "same formula, running requests as scraped",
    "D and X: each slows the step"
  ),
  same(
    "kv-cache-utilization-scorer",
    none,
    "same formula, KV usage as scraped",
    "T: the wait for KV space, when short"
  ),
  same("load-aware-scorer", loadAware.Config, "same formula, waiting requests as scraped", queued),
  same(
    "prefix-cache-scorer",
    Schema.Struct({ ...prefixCache.Config.fields, prefixMatchInfoProducerName: producerName }),
    "same formula on the pods' sketches, contiguous from the first block",
    cached,
    "prefixMatchInfoProducerName"
  ),
  same(
    "token-load-scorer",
    Schema.Struct({ ...tokenLoad.Config.fields, inFlightLoadProducerName: producerName }),
    "same formula on own reservations",
    queued,
    "inFlightLoadProducerName"
  ),
  same(
    "active-request-scorer",
    Schema.Struct({
      ...activeRequest.Config.fields,
      inFlightLoadProducerName: producerName,
      requestTimeout: ignored
    }),
    "same formula on own reservations",
    "X: what the request costs each of them",
    "inFlightLoadProducerName",
    "requestTimeout"
  ),
  same(
    "no-hit-lru-scorer",
    Schema.Struct({
      ...noHitLru.Config.fields,
      prefixMatchInfoProducerName: producerName,
      prefixPluginName: producerName,
      prefixPluginType: producerName
    }),
    "same formula",
    "T and X: a cold prompt goes where it waits and disturbs least",
    "prefixMatchInfoProducerName",
    "prefixPluginName",
    "prefixPluginType"
  ),
  same(
    "lora-affinity-scorer",
    none,
    "same formula, adapters as scraped",
    "nothing: any pod that serves the adapter will do"
  ),
  same("header-label-affinity-scorer", headerLabelAffinity.Config, "same formula, labels by discovery", notInIt),
  llmdPlugin(
    "context-length-aware",
    ["filter", "scorer"],
    Schema.Struct({ ...contextLength.Config.fields, enableFiltering: perhaps(Schema.Boolean) }),
    ({ enableFiltering }, plugin) => {
      const own = described("context-length-aware", withoutKeys(plugin.parameters, "enableFiltering"))
      return {
        support: "supported",
        note: enableFiltering === true ? "same formula and filter" : "same formula",
        inMarginalCost: notInIt,
        scorer: own,
        ...(enableFiltering === true ? { filter: own } : {})
      }
    }
  ),
  llmdPlugin(
    "session-affinity-scorer",
    ["scorer"],
    SessionParameters,
    (parameters, _, all) => sessionUse("scorer", parameters, all)
  ),
  llmdPlugin("topology-affinity-scorer", ["scorer"], Schema.Struct({ topologyProducerName: producerName }), () => ({
    support: "not needed",
    note: "without disaggregation it scores 0 everywhere, in llm-d too",
    inMarginalCost: "nothing"
  })),
  // The deprecated wrapper around a producer and prefix-cache-scorer.
  llmdPlugin(
    "precise-prefix-cache-scorer",
    ["scorer", "extractor", "producer"],
    Schema.Record({ key: Schema.String, value: Schema.Unknown }),
    () => ({
      support: "equivalent",
      note: "prefix-cache-scorer on the pods' sketches; KV events are not read",
      inMarginalCost: cached,
      scorer: { type: "prefix-cache-scorer" }
    })
  )
]
