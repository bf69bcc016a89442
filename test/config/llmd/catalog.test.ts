import { describe, expect, test } from "bun:test"
import { catalog } from "../../../config/llmd/catalog.ts"
import { refused } from "../../../config/llmd/refused.ts"

/** The types that llm-d-router ebab6879 registers, those that it has renamed among them. */
const registered = `
label-selector-filter by-label-selector by-label encode-filter decode-filter prefill-filter session-affinity-filter
endpoint-attribute-filter topology-affinity-filter utilization-filter prefix-cache-affinity-filter
slo-headroom-tier-filter header-based-testing-filter multicluster-session-affinity-filter
queue-scorer kv-cache-utilization-scorer running-requests-size-scorer load-aware-scorer prefix-cache-scorer
precise-prefix-cache-scorer lora-affinity-scorer token-load-scorer active-request-scorer no-hit-lru-scorer
session-affinity-scorer header-label-affinity-scorer endpoint-attribute-scorer topology-affinity-scorer
mm-embeddings-cache-scorer context-length-aware latency-scorer multicluster-queue-scorer
multicluster-kv-cache-utilization-scorer multicluster-prefix-cache-scorer
max-score-picker random-picker weighted-random-picker
single-profile-handler disagg-profile-handler pd-profile-handler disagg-headers-handler prefill-header-handler
data-parallel-profile-handler header-profile-handler prefix-based-pd-decider always-disagg-pd-decider
always-disagg-multimodal-decider
token-producer tokenizer approx-prefix-cache-producer precise-prefix-cache-producer burst-prefix-cache-producer
p2p-source-producer inflight-load-producer predicted-latency-producer session-id-producer mm-embeddings-cache-producer
multicluster-approx-prefix-cache-producer
agent-identity latency-slo-admitter probabilistic-admitter request-attribute-reporter
disaggregatedset-rollout-screener destination-endpoint-served-verifier
global-strict-fairness-policy round-robin-fairness-policy program-aware-fairness fcfs-ordering-policy
edf-ordering-policy slo-deadline-ordering-policy static-usage-limit-policy priority-holdback-policy
soft-reflective-ceiling-policy sheddable-eviction-filter priority-then-time-eviction-order-policy
utilization-detector concurrency-detector
metrics-data-source core-metrics-extractor models-data-source models-data-extractor dcgm-data-source dcgm-extractor
topology-extractor k8s-notification-source endpoint-notification-source file-discovery multicluster-metrics-data-source
multicluster-metrics-extractor multicluster-file-discovery
openai-parser anthropic-parser vllmhttp-parser sglanghttp-parser vllmgrpc-parser vertexai-parser passthrough-parser
`.trim().split(/\s+/)

describe("the types of llm-d's plug-ins", () => {
  test.each(registered)("%s is either read or refused with the nearest that there is", (type) => {
    expect([catalog.has(type), refused.has(type)].filter((is) => is)).toHaveLength(1)
    if (refused.has(type)) expect(refused.get(type)).toContain("the nearest is")
  })

  test("what is called the nearest is there", () => {
    for (const nearest of refused.values()) {
      const [, name = ""] = /the nearest is (?:the policy )?([a-z0-9]+(?:-[a-z0-9]+)+)/.exec(nearest) ?? []
      if (name !== "" && name !== "marginal-cost") expect([name, catalog.has(name)]).toEqual([name, true])
    }
  })
})
