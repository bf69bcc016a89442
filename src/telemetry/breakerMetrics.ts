import type { BreakerState } from "../core/Breaker.ts"
import type { PodTable } from "../core/PodTable.ts"
import { forEachPod } from "./forEachPod.ts"
import type { MetricRegistry } from "./MetricRegistry.ts"

const gaugeValues: Readonly<Record<BreakerState, number>> = { closed: 0, "half-open": 0.5, open: 1 }

/** The state of each pod's breaker, read when the page is written. */
export const watchBreakers = (
  registry: MetricRegistry,
  table: PodTable,
  guard: { readonly stateOf: (row: number) => BreakerState }
): void => {
  const help = "1 while the pod's breaker is open, 0.5 while one request at a time may try the pod, else 0."
  registry.collected(
    "warmroute_pod_breaker_open",
    help,
    "gauge",
    ["pod"],
    (emit) => forEachPod(table, (pod, row) => emit([pod], gaugeValues[guard.stateOf(row)]))
  )
}

/** Changes of breakers by the state they came to. */
export const makeBreakerMetrics = (registry: MetricRegistry) => {
  const changes = registry.counter(
    "warmroute_breaker_changes_total",
    "Changes of pods' breakers, by the new state.",
    ["state"]
  )
  const byState = {
    closed: changes.child("closed"),
    open: changes.child("open"),
    "half-open": changes.child("half-open")
  }
  return { changed: ({ state }: { readonly state: BreakerState }): void => byState[state].add() }
}
