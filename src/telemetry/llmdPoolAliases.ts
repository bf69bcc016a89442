import type { PodTable } from "../core/PodTable.ts"
import { forEachPod } from "./forEachPod.ts"
import type { Collect, MetricRegistry } from "./MetricRegistry.ts"

/** What is read when the page is written. */
export interface LlmdPool {
  readonly table: PodTable
  /** Of the InferencePool, or what stands for one. */
  readonly name: string
  readonly sketchBlocks: () => number
  readonly waitingRequests: () => number
}

/** Gauges of the pool and its pods under llm-d's names and with its meaning. Source: llm-d-router docs/metrics.md. */
export const watchLlmdPool = (
  registry: MetricRegistry,
  { name, sketchBlocks, table, waitingRequests }: LlmdPool
): void => {
  const gauge = (metric: string, help: string, labels: ReadonlyArray<string>, collect: Collect): void =>
    registry.collected(`llm_d_epp_${metric}`, help, "gauge", labels, collect)
  const ofPool = (metric: string, help: string, value: () => number): void =>
    gauge(metric, help, ["name"], (emit) => emit([name], value()))
  const ofPod = (metric: string, help: string, labels: ReadonlyArray<string>, value: (row: number) => number): void =>
    gauge(
      metric,
      help,
      labels,
      (emit) => forEachPod(table, (pod, row) => emit(labels.length === 1 ? [pod] : [name, pod], value(row)))
    )
  const columns = [
    ["kv_cache_utilization", "share of the KV blocks in use", table.observedKvUsage],
    ["queue_size", "requests in a pod's queue", table.observedWaiting],
    ["running_requests", "requests in a pod's batch", table.observedRunning]
  ] as const
  for (const [metric, what, column] of columns) {
    ofPool(`average_${metric}`, `Mean over the pods: ${what}.`, () => spreadOf(table, column).mean)
    ofPool(`std_dev_${metric}`, `Spread over the pods: ${what}.`, () => spreadOf(table, column).deviation)
  }
  ofPool("ready_endpoints", "Pods that take requests.", () => spreadOf(table, table.accepting).sum)
  ofPod(
    "per_endpoint_queue_size",
    "Requests in the pod's queue.",
    ["name", "model_server_endpoint"],
    (row) => table.observedWaiting[row] ?? 0
  )
  ofPod(
    "inflight_requests",
    "Requests sent to the pod that have not ended.",
    ["endpoint_name"],
    (row) => (table.prefilling[row] ?? 0) + (table.decoding[row] ?? 0)
  )
  ofPod(
    "inflight_tokens",
    "Uncached prompt tokens sent to the pod and not yet computed.",
    ["endpoint_name"],
    (row) => table.prefillAheadTokens[row] ?? 0
  )
  gauge("prefix_indexer_size", "KV blocks that the pods are believed to hold.", [], (emit) => emit([], sketchBlocks()))
  gauge("flow_control_queue_size", "Requests that wait at the gateway.", [], (emit) => emit([], waitingRequests()))
}

const spreadOf = (
  table: PodTable,
  column: { readonly [row: number]: number }
): { readonly sum: number; readonly mean: number; readonly deviation: number } => {
  let pods = 0
  let sum = 0
  let squares = 0
  for (let row = 0; row < table.rowCount; row++) {
    if (table.live[row] === 0) continue
    const value = column[row] ?? 0
    pods++
    sum += value
    squares += value * value
  }
  const mean = pods === 0 ? 0 : sum / pods
  return { sum, mean, deviation: pods === 0 ? 0 : Math.sqrt(Math.max(0, squares / pods - mean * mean)) }
}
