import { describe, expect, test } from "bun:test"
import { podAddress } from "../../src/core/Pod.ts"
import { PodTable } from "../../src/core/PodTable.ts"
import { makeFrontMetrics } from "../../src/telemetry/frontMetrics.ts"
import { watchLlmdPool } from "../../src/telemetry/llmdPoolAliases.ts"
import { frontWithLlmdNames, picksWithLlmdNames, waitsWithLlmdNames } from "../../src/telemetry/llmdRequestAliases.ts"
import { MetricRegistry } from "../../src/telemetry/MetricRegistry.ts"
import { makePickMetrics } from "../../src/telemetry/pickMetrics.ts"
import { makeWaitMetrics } from "../../src/telemetry/waitMetrics.ts"
import { breachesOf, valueOf } from "./page.ts"

const chat = "/v1/chat/completions"

const registered = () => {
  const registry = new MetricRegistry(1000)
  return { registry, value: (name: string, labels = {}) => valueOf(registry.render(), name, labels) }
}

describe("requests under llm-d's names", () => {
  test("count for both names", () => {
    const { registry, value } = registered()
    const limits = { routesMax: 50, modelsMax: 10, podsMax: 4 }
    const front = frontWithLlmdNames(registry, makeFrontMetrics(registry, limits), { modelsMax: 10 })
    for (let request = 0; request < 3; request++) front.requestStarted(chat)
    front.firstByte(chat, 0.3)
    front.ttft("a:1", 0.2, 0.3)
    front.tokens("qwen", 1000, 600, 20)
    front.requestEnded(chat, 200, "finished", 2)
    front.requestEnded(chat, 503, "failed", 1)
    const model = { model_name: "qwen", target_model_name: "qwen" }
    expect(value("llm_d_epp_request_running")).toBe(1)
    expect(value("llm_d_epp_request_total", model)).toBe(1)
    expect(value("llm_d_epp_request_error_total", { error_code: "503" })).toBe(1)
    expect(value("llm_d_epp_request_duration_seconds_sum")).toBe(3)
    expect(value("llm_d_epp_request_ttft_seconds_count")).toBe(1)
    expect(value("llm_d_epp_request_predicted_ttft_seconds_sum")).toBe(0.2)
    expect(value("llm_d_epp_request_input_tokens_sum", model)).toBe(1000)
    expect(value("llm_d_epp_request_cached_tokens_sum", model)).toBe(600)
    expect(value("llm_d_epp_request_output_tokens_sum", model)).toBe(20)
    expect(value("warmroute_open_requests")).toBe(1)
    expect(value("warmroute_prompt_tokens_total", { model: "qwen" })).toBe(1000)
    expect(breachesOf(registry.render())).toEqual([])
  })

  test("models beyond the limit share one series", () => {
    const { registry, value } = registered()
    const front = frontWithLlmdNames(
      registry,
      makeFrontMetrics(registry, { routesMax: 1, modelsMax: 1, podsMax: 1 }),
      { modelsMax: 1 }
    )
    for (const model of ["a", "b", "c", "a"]) front.tokens(model, 1, 0, 1)
    expect(value("llm_d_epp_request_total", { model_name: "a" })).toBe(2)
    expect(value("llm_d_epp_request_total", { model_name: "other" })).toBe(2)
  })

  test("picks and waits are there too", () => {
    const { registry, value } = registered()
    const picks = picksWithLlmdNames(registry, makePickMetrics(registry))
    picks.onPick({ policy: "weighted", promptTokens: 100, hitTokens: 40 }, 0.5)
    picks.onRefusal("no-pod", "weighted")
    const waits = waitsWithLlmdNames(registry, makeWaitMetrics(registry))
    waits.onWaited(0, 2, "placed")
    waits.onWaited(0, 3, "waited-too-long")
    expect(value("llm_d_epp_scheduler_attempts_total", { status: "success" })).toBe(1)
    expect(value("llm_d_epp_scheduler_attempts_total", { status: "failure" })).toBe(1)
    expect(value("llm_d_epp_scheduler_e2e_duration_seconds_sum")).toBe(0.0005)
    expect(value("llm_d_epp_prefix_indexer_hit_ratio_sum")).toBe(0.4)
    const queued = "llm_d_epp_flow_control_request_queue_duration_seconds_sum"
    expect([value(queued, { outcome: "Dispatched" }), value(queued, { outcome: "EvictedTTL" })]).toEqual([2, 3])
    expect(value("warmroute_picks_total", { outcome: "placed" })).toBe(1)
    expect(value("warmroute_waits_total", { outcome: "placed" })).toBe(1)
  })
})

test("the pool's gauges are means and spreads over its pods", () => {
  const { registry, value } = registered()
  const table = new PodTable(4)
  for (const port of [1, 2]) table.add(podAddress("10.0.0.1", port, false))
  table.accepting[1] = 1
  table.observedWaiting.set([1, 3])
  table.observedKvUsage.set([0.2, 0.6])
  table.prefilling[0] = 2
  table.decoding[0] = 1
  table.prefillAheadTokens[0] = 500
  watchLlmdPool(registry, { table, name: "vllm", sketchBlocks: () => 7, waitingRequests: () => 5 })
  const pool = { name: "vllm" }
  expect(value("llm_d_epp_average_queue_size", pool)).toBe(2)
  expect(value("llm_d_epp_std_dev_queue_size", pool)).toBe(1)
  expect(value("llm_d_epp_average_kv_cache_utilization", pool)).toBeCloseTo(0.4, 10)
  expect(value("llm_d_epp_ready_endpoints", pool)).toBe(1)
  expect(value("llm_d_epp_per_endpoint_queue_size", { ...pool, model_server_endpoint: "10.0.0.1:2" })).toBe(3)
  expect(value("llm_d_epp_inflight_requests", { endpoint_name: "10.0.0.1:1" })).toBe(3)
  expect(value("llm_d_epp_inflight_tokens", { endpoint_name: "10.0.0.1:1" })).toBe(500)
  expect(value("llm_d_epp_prefix_indexer_size")).toBe(7)
  expect(value("llm_d_epp_flow_control_queue_size")).toBe(5)
  expect(breachesOf(registry.render())).toEqual([])
})
