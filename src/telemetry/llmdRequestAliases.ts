import type { makeFrontMetrics } from "./frontMetrics.ts"
import type { Counter, Histogram } from "./instruments.ts"
import type { MetricRegistry } from "./MetricRegistry.ts"
import type { makePickMetrics } from "./pickMetrics.ts"
import type { makeWaitMetrics } from "./waitMetrics.ts"

/**
 * What llm-d's picker shows, under its names and with its meaning, beside our own. Of its labels those are there that
 * the gateway knows; `fairness_id` and `priority` are not. Source: llm-d-router docs/metrics.md.
 */
const prefix = "llm_d_epp_"

const secondsBounds = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2, 3, 5, 10, 30, 60, 120, 300, 600]
const tokensBounds = [
  1,
  8,
  16,
  32,
  64,
  128,
  256,
  512,
  1024,
  2048,
  4096,
  8192,
  16_384,
  32_768,
  65_536,
  131_072,
  1_048_576
]
const pickBounds = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1]
const ratioBounds = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]

/** Read anew each time, so that it may change. */
interface ModelLimit {
  readonly modelsMax: number
}

interface ModelInstruments {
  readonly requests: Counter
  readonly input: Histogram
  readonly cached: Histogram
  readonly output: Histogram
}

const modelInstruments = (registry: MetricRegistry, limits: ModelLimit): (model: string) => ModelInstruments => {
  const labels = ["model_name", "target_model_name"]
  const tokens = (name: string, help: string) => registry.histogram(`${prefix}${name}`, help, tokensBounds, labels)
  const requests = registry.counter(`${prefix}request_total`, "Requests that a pod answered.", labels)
  const input = tokens("request_input_tokens", "Prompt tokens of a request, as the pod told.")
  const cached = tokens("request_cached_tokens", "Prompt tokens from the prefix cache, as the pod told.")
  const output = tokens("request_output_tokens", "Output tokens of a request, told or counted.")
  const byModel = new Map<string, ModelInstruments>()
  return (model) => {
    const name = byModel.has(model) || byModel.size < limits.modelsMax ? model : "other"
    let found = byModel.get(name)
    if (found === undefined) {
      found = {
        requests: requests.child(name, name),
        input: input.child(name, name),
        cached: cached.child(name, name),
        output: output.child(name, name)
      }
      byModel.set(name, found)
    }
    return found
  }
}

/** The front's metrics that count for llm-d's names too. */
export const frontWithLlmdNames = (
  registry: MetricRegistry,
  front: ReturnType<typeof makeFrontMetrics>,
  limits: ModelLimit
): ReturnType<typeof makeFrontMetrics> => {
  const models = modelInstruments(registry, limits)
  const errors = registry.counter(`${prefix}request_error_total`, "Requests that ended with an error.", ["error_code"])
  const running = registry.gauge(`${prefix}request_running`, "Requests whose answer has not ended.").child()
  const duration = registry.histogram(
    `${prefix}request_duration_seconds`,
    "From a request's arrival to the end of its answer.",
    secondsBounds
  ).child()
  const ttft = registry.histogram(
    `${prefix}request_ttft_seconds`,
    "From a request's arrival to the first byte of its answer.",
    secondsBounds
  ).child()
  const predicted = registry.histogram(
    `${prefix}request_predicted_ttft_seconds`,
    "From the pick to the first token, as the pick predicted.",
    secondsBounds
  ).child()
  return {
    ...front,
    requestStarted: (route) => {
      running.add(1)
      front.requestStarted(route)
    },
    requestEnded: (route, status, outcome, durationS) => {
      running.add(-1)
      if (status >= 400) errors.child(String(status)).add()
      duration.observe(durationS)
      front.requestEnded(route, status, outcome, durationS)
    },
    firstByte: (route, ttftS) => {
      ttft.observe(ttftS)
      front.firstByte(route, ttftS)
    },
    ttft: (pod, predictedS, observedS) => {
      if (Number.isFinite(predictedS)) predicted.observe(predictedS)
      front.ttft(pod, predictedS, observedS)
    },
    tokens: (model, promptTokens, cachedTokens, outputTokens) => {
      const { cached, input, output, requests } = models(model)
      requests.add()
      if (promptTokens !== undefined) input.observe(promptTokens)
      if (cachedTokens !== undefined) cached.observe(cachedTokens)
      if (outputTokens !== undefined) output.observe(outputTokens)
      front.tokens(model, promptTokens, cachedTokens, outputTokens)
    }
  }
}

/** The scheduler's metrics that count for llm-d's names too. */
export const picksWithLlmdNames = (
  registry: MetricRegistry,
  picks: ReturnType<typeof makePickMetrics>
): ReturnType<typeof makePickMetrics> => {
  const attempts = registry.counter(`${prefix}scheduler_attempts_total`, "Picks by how they ended.", ["status"])
  const [success, failure] = [attempts.child("success"), attempts.child("failure")]
  const seconds = registry.histogram(`${prefix}scheduler_e2e_duration_seconds`, "Time of one pick.", pickBounds).child()
  const hits = registry.histogram(
    `${prefix}prefix_indexer_hit_ratio`,
    "Share of the prompt that the picked pod is believed to hold.",
    ratioBounds
  ).child()
  return {
    onPick: (picked, tookMs) => {
      success.add()
      seconds.observe(tookMs / 1000)
      if (picked.promptTokens > 0) hits.observe(picked.hitTokens / picked.promptTokens)
      picks.onPick(picked, tookMs)
    },
    onRefusal: (why, policy) => {
      failure.add()
      picks.onRefusal(why, policy)
    }
  }
}

/** The wait metrics that count for llm-d's names too. */
export const waitsWithLlmdNames = (
  registry: MetricRegistry,
  waits: ReturnType<typeof makeWaitMetrics>
): ReturnType<typeof makeWaitMetrics> => {
  const seconds = registry.histogram(
    `${prefix}flow_control_request_queue_duration_seconds`,
    "Time that requests waited at the gateway because every pod was busy.",
    secondsBounds,
    ["outcome"]
  )
  return {
    ...waits,
    onWaited: (priority, waitedS, outcome) => {
      seconds.child(flowOutcomes.get(outcome) ?? "EvictedOther").observe(waitedS)
      waits.onWaited(priority, waitedS, outcome)
    }
  }
}

/** By our own word for how a wait ended. */
const flowOutcomes: ReadonlyMap<string, string> = new Map([
  ["placed", "Dispatched"],
  ["queue-full", "RejectedCapacity"],
  ["waited-too-long", "EvictedTTL"],
  ["client-left", "EvictedContextCancelled"],
  ["no-pod", "EvictedNoEndpoints"]
])
