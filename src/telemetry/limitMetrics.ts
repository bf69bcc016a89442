import type { MetricRegistry } from "./MetricRegistry.ts"

/** How much of a bound is in use, in the unit of its setting, now. */
export interface WatchedLimit {
  readonly used: number
  readonly max: number
}

/**
 * What fills bounds that hold requests back, by the setting's name, read when the page is written: one rule,
 * used / max, watches all of them.
 */
export const watchLimits = (registry: MetricRegistry, limits: () => Readonly<Record<string, WatchedLimit>>): void => {
  const gauge = (name: string, help: string, value: (limit: WatchedLimit) => number): void =>
    registry.collected(name, help, "gauge", ["limit"], (emit) => {
      for (const [limit, watched] of Object.entries(limits())) emit([limit], value(watched))
    })
  gauge("warmroute_limit_used", "What is in use of a bound, by its setting and in its unit.", ({ used }) => used)
  gauge("warmroute_limit_max", "The bound itself, by its setting and in its unit.", ({ max }) => max)
}
