import type { MetricRegistry } from "./MetricRegistry.ts"

/** Reloads of the configuration; the start counts as the first success. `nowMs` is the wall clock. */
export const makeReloadMetrics = (registry: MetricRegistry, nowMs: () => number) => {
  const reloads = registry.counter(
    "warmroute_config_reloads_total",
    "Reloads of the configuration: applied, unchanged (it said what was running), refused (nothing was changed).",
    ["outcome"]
  )
  const counters = {
    applied: reloads.child("applied"),
    unchanged: reloads.child("unchanged"),
    refused: reloads.child("refused")
  }
  const succeeded = registry.gauge(
    "warmroute_config_last_reload_success_timestamp_seconds",
    "When the configuration was last taken, on the Unix clock."
  ).child()
  succeeded.set(nowMs() / 1000)
  return {
    reloaded: (outcome: keyof typeof counters): void => {
      counters[outcome].add()
      if (outcome !== "refused") succeeded.set(nowMs() / 1000)
    }
  }
}
