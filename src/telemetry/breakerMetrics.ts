import type { BreakerState } from "../core/Breaker.ts"
import type { PodId } from "../core/Pod.ts"
import type { BreakerChange, PodGuard } from "../core/PodGuard.ts"
import type { PodTable } from "../core/PodTable.ts"
import { forEachPod } from "./forEachPod.ts"
import type { MetricRegistry } from "./MetricRegistry.ts"
import { PodCounters } from "./PodCounters.ts"

const gaugeValues: Readonly<Record<BreakerState, number>> = { closed: 0, "half-open": 0.5, open: 1 }

type WatchedGuard = Pick<PodGuard, "stateOf" | "rampShare" | "isStuck" | "passedOver">

/** What keeps requests from each pod, read when the page is written. `nowS` is the guard's clock. */
export const watchGuard = (
  registry: MetricRegistry,
  table: PodTable,
  guard: WatchedGuard,
  nowS: () => number
): void => {
  const gauge = (name: string, help: string, value: (row: number) => number): void =>
    registry.collected(
      `warmroute_pod_${name}`,
      help,
      "gauge",
      ["pod"],
      (emit) => forEachPod(table, (pod, row) => emit([pod], value(row)))
    )
  gauge(
    "breaker_open",
    "1 while the pod's breaker is open, 0.5 while one request at a time may try the pod, else 0.",
    (row) => gaugeValues[guard.stateOf(row)]
  )
  gauge(
    "pick_share_ratio",
    "Share of the picks that the pod may get: less than 1 during its slow start.",
    (row) => guard.rampShare(row, nowS())
  )
  gauge(
    "stalled",
    "1 while the pod is passed over: no first token for breaker.stallAfter beyond its queue, or no answer about itself.",
    (row) => guard.isStuck(row, nowS()) ? 1 : 0
  )
  registry.collected(
    "warmroute_pod_passed_over_total",
    "Picks that could have gone to the pod and were not let, by why: slow-start, stall.",
    "counter",
    ["pod", "why"],
    (emit) =>
      forEachPod(table, (pod: PodId, row) => {
        const { slowStart, stall } = guard.passedOver(row)
        if (slowStart > 0) emit([pod, "slow-start"], slowStart)
        if (stall > 0) emit([pod, "stall"], stall)
      })
  )
}

/** Changes of breakers by pod and the state they came to. */
export const makeBreakerMetrics = (registry: MetricRegistry, podsMax: number) => {
  const metric = {
    name: "warmroute_breaker_changes_total",
    help: "Changes of pods' breakers, by the new state.",
    label: "state"
  }
  const changes = new PodCounters(registry, metric, podsMax)
  return {
    changed: ({ address, state }: Pick<BreakerChange, "address" | "state">): void => changes.add(address.id, state)
  }
}
