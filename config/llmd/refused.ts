const several = (types: ReadonlyArray<string>, nearest: string): ReadonlyArray<readonly [string, string]> =>
  types.map((type) => [type, nearest])

/** Types that are refused, each with the nearest that there is. */
export const refused: ReadonlyMap<string, string> = new Map([
  ...several(
    ["disagg-profile-handler", "pd-profile-handler", "disagg-headers-handler", "prefill-header-handler"],
    "there is no disaggregated prefill; the nearest is single-profile-handler over pods that serve whole requests"
  ),
  ...several(
    ["prefix-based-pd-decider", "always-disagg-pd-decider", "always-disagg-multimodal-decider"],
    "there is no disaggregated prefill; the nearest is to leave it out, with single-profile-handler"
  ),
  [
    "data-parallel-profile-handler",
    "the nearest is single-profile-handler and an InferencePool with a target port for each rank"
  ],
  ["header-profile-handler", "the nearest is a gateway for each profile, and a route for each value of the header"],
  [
    "slo-headroom-tier-filter",
    "there is no latency predictor; the nearest is the policy marginal-cost, which predicts TTFT by itself"
  ],
  [
    "latency-scorer",
    "there is no latency predictor; the nearest is the policy marginal-cost, which predicts TTFT by itself"
  ],
  [
    "predicted-latency-producer",
    "there is no latency predictor; the nearest is the policy marginal-cost, which predicts TTFT by itself"
  ],
  ["latency-slo-admitter", "there is no latency predictor; the nearest is probabilistic-admitter"],
  ["endpoint-attribute-filter", "metrics of your own are not read; the nearest is utilization-filter"],
  ["endpoint-attribute-scorer", "metrics of your own are not read; the nearest is kv-cache-utilization-scorer"],
  ["header-based-testing-filter", "it is for conformance tests; the nearest is Envoy's subset hint, which is honoured"],
  [
    "destination-endpoint-served-verifier",
    "it is for conformance tests; the nearest is to leave it out: the pod that served is noticed anyway"
  ],
  [
    "mm-embeddings-cache-scorer",
    "there is no separate cache of embeddings; the nearest is prefix-cache-scorer, which counts images by content"
  ],
  [
    "mm-embeddings-cache-producer",
    "there is no separate cache of embeddings; the nearest is approx-prefix-cache-producer"
  ],
  [
    "burst-prefix-cache-producer",
    "the nearest is approx-prefix-cache-producer: prompts count as cached from the pick on"
  ],
  ["p2p-source-producer", "pods don't fetch KV from one another; the nearest is approx-prefix-cache-producer"],
  ["request-attribute-reporter", "the nearest is the decision log and warmroute_prompt_tokens_total"],
  ...several(
    ["disaggregatedset-rollout-screener", "disaggregatedset-rollout-pod-extractor"],
    "the nearest is label-selector-filter on the label of the revision"
  ),
  ["slo-deadline-ordering-policy", "the nearest is fcfs-ordering-policy"],
  ["priority-holdback-policy", "the nearest is static-usage-limit-policy: bands are served strictly by priority"],
  ["soft-reflective-ceiling-policy", "the nearest is static-usage-limit-policy: bands are served strictly by priority"],
  ...several(
    ["sheddable-eviction-filter", "priority-then-time-eviction-order-policy"],
    "running requests are never taken from a pod; the nearest is a negative priority, which is refused first"
  ),
  ...several(["dcgm-data-source", "dcgm-extractor"], "GPU metrics are not read; the nearest is metrics-data-source"),
  ["sglanghttp-parser", "SGLang's own routes are not read; the nearest is openai-parser"],
  ["vllmgrpc-parser", "requests are HTTP; the nearest is vllmhttp-parser"],
  ["vertexai-parser", "requests are HTTP; the nearest is openai-parser"],
  ...several(
    [
      "multicluster-session-affinity-filter",
      "multicluster-queue-scorer",
      "multicluster-kv-cache-utilization-scorer",
      "multicluster-prefix-cache-scorer",
      "multicluster-approx-prefix-cache-producer",
      "multicluster-metrics-data-source",
      "multicluster-metrics-extractor",
      "multicluster-file-discovery"
    ],
    "a gateway serves the pods of one cluster; the nearest is the same without multicluster-, in a gateway for each cluster"
  )
])
