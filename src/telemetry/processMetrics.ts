import { Effect, type Scope } from "effect"
import type { MetricRegistry } from "./MetricRegistry.ts"

const lagBoundsS = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1]

/** Version, memory and CPU of the process, read when the page is written. */
export const watchProcess = (registry: MetricRegistry, version: string): void => {
  const startS = (Date.now() - process.uptime() * 1000) / 1000
  const gauge = (name: string, help: string, value: () => number): void =>
    registry.collected(name, help, "gauge", [], (emit) => emit([], value()))
  registry.collected(
    "warmroute_build_info",
    "Versions, as labels.",
    "gauge",
    ["version", "bun"],
    (emit) => emit([version, Bun.version], 1)
  )
  gauge("process_start_time_seconds", "Unix time of the start.", () => startS)
  gauge("process_resident_memory_bytes", "Resident memory.", () => process.memoryUsage.rss())
  registry.collected("process_cpu_seconds_total", "User and system CPU time.", "counter", [], (emit) => {
    const { system, user } = process.cpuUsage()
    emit([], (system + user) / 1e6)
  })
}

/** Measures how late a timer fires, which is how long the event loop was held up. Ends with the scope. */
export const watchEventLoop = (registry: MetricRegistry, everyMs: number): Effect.Effect<void, never, Scope.Scope> => {
  const lag = registry.histogram("warmroute_event_loop_lag_seconds", "How late a timer fired.", lagBoundsS).child()
  const start = Effect.sync(() => {
    let dueMs = performance.now() + everyMs
    const timer = setInterval(() => {
      const nowMs = performance.now()
      lag.observe(Math.max(0, nowMs - dueMs) / 1000)
      dueMs = nowMs + everyMs
    }, everyMs)
    timer.unref()
    return timer
  })
  return Effect.asVoid(Effect.acquireRelease(start, (timer) => Effect.sync(() => clearInterval(timer))))
}
