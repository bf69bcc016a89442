import type { MetricRegistry } from "./MetricRegistry.ts"

const waitBoundsS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300]

/** How long requests wait at the gateway for room on a pod, and how that ends. */
export const makeWaitMetrics = (registry: MetricRegistry) => {
  const seconds = registry.histogram(
    "warmroute_waited_seconds",
    "Time that requests waited at the gateway because every pod was busy; those placed at once are not counted.",
    waitBoundsS
  ).child()
  const ends = registry.counter("warmroute_waits_total", "Waits at the gateway by how they ended.", ["outcome"])
  return {
    /** `outcome` is one of a few words of the scheduler's. */
    onWaited: (_priority: number, waitedS: number, outcome: string): void => {
      seconds.observe(waitedS)
      ends.child(outcome).add()
    }
  }
}

/** Who waits now. */
export const watchWaiting = (
  registry: MetricRegistry,
  room: { readonly count: number; readonly bytes: number } | undefined
): void => {
  const gauge = (name: string, help: string, value: () => number): void =>
    registry.collected(name, help, "gauge", [], (emit) => emit([], value()))
  gauge("warmroute_waiting_requests", "Requests that wait at the gateway for room on a pod.", () => room?.count ?? 0)
  gauge("warmroute_waiting_bytes", "Memory of the requests that wait at the gateway.", () => room?.bytes ?? 0)
}
