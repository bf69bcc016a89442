import { describe, expect, test } from "bun:test"
import { Effect } from "effect"
import { podAddress } from "../../src/core/Pod.ts"
import { PodTable } from "../../src/core/PodTable.ts"
import { BadRequest } from "../../src/errors.ts"
import type { FrontMetrics } from "../../src/http/FrontMetrics.ts"
import { makeFrontMetrics } from "../../src/telemetry/frontMetrics.ts"
import { MetricRegistry } from "../../src/telemetry/MetricRegistry.ts"
import { makePickMetrics } from "../../src/telemetry/pickMetrics.ts"
import { makeSnapshotMetrics, watchMailboxes, watchPodHealth, watchPodTable } from "../../src/telemetry/poolMetrics.ts"
import { watchEventLoop, watchProcess } from "../../src/telemetry/processMetrics.ts"
import { breachesOf, valueOf } from "./page.ts"

const chat = "/v1/chat/completions"

const front = (limits = { routesMax: 50, modelsMax: 10, podsMax: 4 }) => {
  const registry = new MetricRegistry(1000)
  const metrics: FrontMetrics = makeFrontMetrics(registry, limits)
  return { metrics, value: (name: string, labels = {}) => valueOf(registry.render(), `warmroute_${name}`, labels) }
}

describe("the front's metrics", () => {
  test("follow requests from start to end", () => {
    const { metrics, value } = front()
    for (let request = 0; request < 3; request++) metrics.requestStarted(chat)
    metrics.firstByte(chat, 0.03)
    metrics.requestEnded(chat, 200, "finished", 1.5)
    metrics.requestEnded(chat, 499, "aborted", 0.2)
    expect(value("open_requests")).toBe(1)
    expect(value("requests_total", { route: chat, code: "200" })).toBe(1)
    expect(value("requests_total", { route: chat, code: "499" })).toBe(1)
    expect(value("request_duration_seconds_sum", { route: chat })).toBeCloseTo(1.7, 9)
    expect(value("request_duration_seconds_bucket", { route: chat, le: "0.25" })).toBe(1)
    expect(value("ttft_seconds_count", { route: chat })).toBe(1)
    expect(value("request_outcomes_total", { outcome: "finished" })).toBe(1)
    expect(value("client_aborts_total")).toBe(1)
  })

  test("count retries by reason and the time of picks", () => {
    const { metrics, value } = front()
    metrics.retried("refused")
    metrics.retried("refused")
    metrics.picked(chat, 0.0002)
    expect(value("retries_total", { reason: "refused" })).toBe(2)
    expect(value("pick_wait_seconds_bucket", { le: "0.0001" })).toBe(0)
    expect(value("pick_wait_seconds_bucket", { le: "0.00025" })).toBe(1)
  })

  test("count errors that clients are told by our own code, those of overload from zero on", () => {
    const { metrics, value } = front()
    expect([value("errors_total", { code: "queue_full" }), value("errors_total", { code: "bad_request" })])
      .toEqual([0, undefined])
    metrics.refused(new BadRequest({ message: "no" }))
    expect(value("errors_total", { code: "bad_request" })).toBe(1)
  })

  test("add up tokens by model and leave out what is unknown", () => {
    const { metrics, value } = front()
    metrics.tokens("qwen", 100, 64, 20)
    metrics.tokens("qwen", undefined, undefined, 5)
    expect(value("prompt_tokens_total", { model: "qwen" })).toBe(100)
    expect(value("cached_prompt_tokens_total", { model: "qwen" })).toBe(64)
    expect(value("output_tokens_total", { model: "qwen" })).toBe(25)
  })

  test("hold predicted against observed TTFT, added up by pod", () => {
    const { metrics, value } = front()
    metrics.ttft("a:1", 0.3, 0.2)
    metrics.ttft("a:1", 0.1, 0.2)
    metrics.ttft("a:1", Number.NaN, 0.2)
    expect(value("ttft_prediction_error_ratio_count")).toBe(2)
    expect(value("ttft_prediction_error_ratio_sum")).toBeCloseTo(1, 9)
    expect(value("pod_ttft_predicted_seconds_total", { pod: "a:1" })).toBeCloseTo(0.4, 9)
    expect(value("pod_ttft_observed_seconds_total", { pod: "a:1" })).toBeCloseTo(0.4, 9)
    expect(value("pod_ttft_observations_total", { pod: "a:1" })).toBe(2)
  })

  test("forget the TTFT of the pod known longest when a further one comes", () => {
    const { metrics, value } = front()
    for (let pod = 0; pod < 5; pod++) metrics.ttft(`a:${pod}`, 1, 1)
    expect(value("pod_ttft_observations_total", { pod: "a:0" })).toBeUndefined()
    for (let pod = 1; pod < 5; pod++) expect(value("pod_ttft_observations_total", { pod: `a:${pod}` })).toBe(1)
  })

  test("put models beyond the limit under other", () => {
    const { metrics, value } = front({ routesMax: 50, modelsMax: 2, podsMax: 4 })
    for (let model = 0; model < 1000; model++) metrics.tokens(`model-${model}`, 1, 0, 0)
    expect(value("prompt_tokens_total", { model: "model-1" })).toBe(1)
    expect(value("prompt_tokens_total", { model: "model-2" })).toBeUndefined()
    expect(value("prompt_tokens_total", { model: "other" })).toBe(998)
  })
})

describe("the scheduler's metrics", () => {
  test("tell placed picks from refused ones and add up predicted hits", () => {
    const registry = new MetricRegistry(100)
    const { onPick, onRefusal } = makePickMetrics(registry)
    onPick({ policy: "marginal-cost", promptTokens: 500, hitTokens: 320 }, 0.02)
    onPick({ policy: "marginal-cost", promptTokens: 100, hitTokens: 0 }, 0.02)
    onRefusal("no-pod", "marginal-cost")
    onPick({ policy: "random", promptTokens: 0, hitTokens: 0 }, 0.02)
    const page = registry.render()
    expect(valueOf(page, "warmroute_picks_total", { policy: "marginal-cost", outcome: "placed" })).toBe(2)
    expect(valueOf(page, "warmroute_picks_total", { policy: "random", outcome: "placed" })).toBe(1)
    expect(valueOf(page, "warmroute_picks_total", { policy: "marginal-cost", outcome: "no-pod" })).toBe(1)
    expect(valueOf(page, "warmroute_picked_prompt_tokens_total")).toBe(600)
    expect(valueOf(page, "warmroute_predicted_hit_tokens_total")).toBe(320)
    expect(valueOf(page, "warmroute_pick_seconds_bucket", { le: "0.000025" })).toBe(3)
  })
})

describe("the pool's metrics", () => {
  test("show each pod of the table and forget one that left", () => {
    const registry = new MetricRegistry(100)
    const table = new PodTable(4)
    watchPodTable(registry, table)
    const row = table.add(podAddress("a", 1, false))
    table.prefilling[row] = 2
    table.decoding[row] = 3
    table.observedKvUsage[row] = 0.25
    table.add(podAddress("b", 1, false))
    expect(valueOf(registry.render(), "warmroute_pod_in_flight", { pod: "a:1" })).toBe(5)
    expect(valueOf(registry.render(), "warmroute_pod_kv_usage_ratio", { pod: "a:1" })).toBe(0.25)
    table.remove(row)
    expect(valueOf(registry.render(), "warmroute_pod_in_flight", { pod: "a:1" })).toBeUndefined()
    expect(valueOf(registry.render(), "warmroute_pod_in_flight", { pod: "b:1" })).toBe(0)
  })

  test("count pods by state, mailboxes by actor", () => {
    const registry = new MetricRegistry(100)
    const podOf = (id: string, health: string) => ({ address: { id }, health })
    watchPodHealth(registry, () => [podOf("a:1", "healthy"), podOf("b:1", "healthy"), podOf("c:1", "draining")])
    watchMailboxes(registry, [{ name: "scheduler", depth: () => 7 }])
    const page = registry.render()
    expect(valueOf(page, "warmroute_pods", { state: "healthy" })).toBe(2)
    expect(valueOf(page, "warmroute_pods", { state: "unhealthy" })).toBe(0)
    expect(valueOf(page, "warmroute_pod_health", { pod: "b:1", state: "healthy" })).toBe(1)
    expect(valueOf(page, "warmroute_pod_health", { pod: "c:1", state: "draining" })).toBe(1)
    expect(valueOf(page, "warmroute_pod_health", { pod: "c:1", state: "healthy" })).toBeUndefined()
    expect(valueOf(page, "warmroute_mailbox_depth", { actor: "scheduler" })).toBe(7)
  })

  test("tell the age of the snapshot once there is one", () => {
    const registry = new MetricRegistry(100)
    let nowMs = 1000
    const { failed, saved } = makeSnapshotMetrics(registry, () => nowMs)
    failed()
    expect(valueOf(registry.render(), "warmroute_snapshot_age_seconds")).toBeUndefined()
    saved(8)
    nowMs += 2500
    expect(valueOf(registry.render(), "warmroute_snapshot_age_seconds")).toBe(2.5)
    expect(valueOf(registry.render(), "warmroute_snapshot_saved_pods_total")).toBe(8)
    expect(valueOf(registry.render(), "warmroute_snapshot_failures_total")).toBe(1)
  })
})

describe("the process's metrics", () => {
  test("tell versions, memory and CPU time", () => {
    const registry = new MetricRegistry(100)
    watchProcess(registry, "0.1.0")
    const page = registry.render()
    expect(valueOf(page, "warmroute_build_info", { version: "0.1.0", bun: Bun.version })).toBe(1)
    expect(valueOf(page, "process_resident_memory_bytes")).toBeGreaterThan(1e6)
    expect(valueOf(page, "process_cpu_seconds_total")).toBeGreaterThan(0)
    expect(valueOf(page, "process_start_time_seconds")).toBeLessThan(Date.now() / 1000)
  })

  test("see a blocked event loop", async () => {
    const registry = new MetricRegistry(100)
    const count = () => valueOf(registry.render(), "warmroute_event_loop_lag_seconds_count") ?? 0
    await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
      yield* watchEventLoop(registry, 5)
      yield* Effect.sync(() => Bun.sleepSync(60))
      while (count() === 0) yield* Effect.sleep(5)
    })))
    expect(valueOf(registry.render(), "warmroute_event_loop_lag_seconds_sum")).toBeGreaterThan(0.025)
  })
})

test("pods' failures are counted by pod and reason, and a fleet that changes for ever has a bound", () => {
  const registry = new MetricRegistry(1000)
  const { podFailed } = makeFrontMetrics(registry, { routesMax: 50, modelsMax: 10, podsMax: 2 })
  podFailed("a:1", "refused")
  podFailed("a:1", "refused")
  podFailed("a:1", "answer-503")
  podFailed("b:1", "broken")
  expect(valueOf(registry.render(), "warmroute_pod_failures_total", { pod: "a:1", reason: "refused" })).toBe(2)
  expect(valueOf(registry.render(), "warmroute_pod_failures_total", { pod: "a:1", reason: "answer-503" })).toBe(1)
  for (let i = 0; i < 100; i++) podFailed(`c:${i}`, "broken")
  const lines = registry.render().split("\n").filter((line) => line.startsWith("warmroute_pod_failures_total{"))
  expect(lines).toEqual([
    `warmroute_pod_failures_total{pod="c:98",reason="broken"} 1`,
    `warmroute_pod_failures_total{pod="c:99",reason="broken"} 1`
  ])
})

test("the page of everything together keeps to the format", () => {
  const registry = new MetricRegistry(1000)
  const metrics = makeFrontMetrics(registry, { routesMax: 50, modelsMax: 10, podsMax: 4 })
  makePickMetrics(registry).onRefusal("unknown-model", "random")
  watchPodTable(registry, new PodTable(4))
  watchPodHealth(registry, () => [])
  watchMailboxes(registry, [{ name: "pool", depth: () => 0 }])
  makeSnapshotMetrics(registry, Date.now)
  watchProcess(registry, "0.1.0")
  metrics.requestStarted(chat)
  metrics.requestEnded(chat, 200, "finished", 1)
  metrics.firstByte(chat, 1)
  metrics.retried("broken")
  metrics.tokens("a\"b\\c\nd", 1, 1, 1)
  const page = registry.render()
  expect(breachesOf(page)).toEqual([])
  expect(page.split("\n").length).toBeGreaterThan(80)
})
