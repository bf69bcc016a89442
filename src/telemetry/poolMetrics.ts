import type { PodTable } from "../core/PodTable.ts"
import { forEachPod } from "./forEachPod.ts"
import type { MetricRegistry } from "./MetricRegistry.ts"

/** Columns of the pod table by the name they have on the page. */
const podColumns = (
  table: PodTable
): ReadonlyArray<readonly [name: string, help: string, at: (row: number) => number]> => [
  [
    "in_flight",
    "Requests sent to the pod that have not ended.",
    (row) => at(table.prefilling, row) + at(table.decoding, row)
  ],
  ["prefilling", "Requests sent to the pod whose first token is not seen yet.", (row) => at(table.prefilling, row)],
  ["accepting", "1 when new requests may go to the pod.", (row) => at(table.accepting, row)],
  [
    "running",
    "Requests in the pod's batch, as it told last; 0 once it fell ill.",
    (row) => at(table.observedRunning, row)
  ],
  [
    "waiting",
    "Requests in the pod's queue, as it told last; 0 once it fell ill.",
    (row) => at(table.observedWaiting, row)
  ],
  [
    "kv_usage_ratio",
    "Share of the pod's KV blocks in use, as it told last; 0 once it fell ill.",
    (row) => at(table.observedKvUsage, row)
  ],
  ["kv_capacity_tokens", "Tokens that the pod's KV blocks hold.", (row) => at(table.kvCapacityTokens, row)]
]

const at = (column: { readonly [row: number]: number }, row: number): number => column[row] ?? 0

/** Gauges of each pod, read from the scheduler's table when the page is written. */
export const watchPodTable = (registry: MetricRegistry, table: PodTable): void => {
  for (const [name, help, valueAt] of podColumns(table)) {
    registry.collected(
      `warmroute_pod_${name}`,
      help,
      "gauge",
      ["pod"],
      (emit) => forEachPod(table, (pod, row) => emit([pod], valueAt(row)))
    )
  }
}

/** Health of each pod, as its actor sees it, and pods by health. */
export const watchPodHealth = (
  registry: MetricRegistry,
  pods: () => ReadonlyArray<{ readonly address: { readonly id: string }; readonly health: string }>
): void => {
  // One series a pod, since the four of a whole state set would fill the page of a large fleet with zeros.
  registry.collected(
    "warmroute_pod_health",
    "1 for the state that the pod is in by its own checks: starting, healthy, unhealthy or draining.",
    "gauge",
    ["pod", "state"],
    (emit) => {
      for (const { address, health } of pods()) emit([address.id, health], 1)
    }
  )
  registry.collected("warmroute_pods", "Pods by state.", "gauge", ["state"], (emit) => {
    const counts = new Map([["starting", 0], ["healthy", 0], ["unhealthy", 0], ["draining", 0]])
    for (const { health } of pods()) counts.set(health, (counts.get(health) ?? 0) + 1)
    for (const [state, count] of counts) emit([state], count)
  })
}

/** What the prefix sketches hold and take. */
export const watchSketches = (
  registry: MetricRegistry,
  sketches: { readonly openRequests: number; readonly sketchBytes: number; readonly sketchBlocks: number }
): void => {
  const gauge = (name: string, help: string, value: () => number): void =>
    registry.collected(name, help, "gauge", [], (emit) => emit([], value()))
  gauge("warmroute_reservations", "Requests that hold a reservation; 0 when idle.", () => sketches.openRequests)
  gauge("warmroute_sketch_blocks", "KV blocks that the pods are believed to hold.", () => sketches.sketchBlocks)
  gauge("warmroute_sketch_bytes", "Memory of the prefix sketches.", () => sketches.sketchBytes)
}

/** Messages that wait for each actor. */
export const watchMailboxes = (
  registry: MetricRegistry,
  actors: ReadonlyArray<{ readonly name: string; readonly depth: () => number }>
): void => {
  registry.collected("warmroute_mailbox_depth", "Messages that wait for an actor.", "gauge", ["actor"], (emit) => {
    for (const { depth, name } of actors) emit([name], depth())
  })
}

/** Crashes of actors, by the first word of their names: those of all pods count together. */
export const makeActorMetrics = (registry: MetricRegistry) => {
  const crashes = registry.counter(
    "warmroute_actor_crashes_total",
    "Crashes of actors; each is a defect of the gateway's that the log tells of, and the actor goes on.",
    ["actor"]
  )
  // There from the start, since a rate over a series that begins with its first event misses that one.
  for (const actor of ["scheduler", "pool", "pod"]) crashes.child(actor)
  return { crashed: (name: string): void => crashes.child(name.split(" ", 1)[0] ?? name).add() }
}

/** Saves of the snapshot; `nowMs` is the wall clock. */
export const makeSnapshotMetrics = (registry: MetricRegistry, nowMs: () => number) => {
  const saves = registry.counter("warmroute_snapshot_saves_total", "Writes of the snapshot that succeeded.").child()
  const pods = registry.counter("warmroute_snapshot_saved_pods_total", "Pod records written.").child()
  const failures = registry.counter("warmroute_snapshot_failures_total", "Writes of the snapshot that failed.").child()
  let savedAtMs: number | undefined
  registry.collected("warmroute_snapshot_age_seconds", "Since the last write that succeeded.", "gauge", [], (emit) => {
    if (savedAtMs !== undefined) emit([], Math.max(0, nowMs() - savedAtMs) / 1000)
  })
  return {
    saved: (podCount: number): void => {
      savedAtMs = nowMs()
      saves.add()
      pods.add(podCount)
    },
    failed: (): void => failures.add()
  }
}
