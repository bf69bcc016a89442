import type { MetricRegistry } from "./MetricRegistry.ts"

const waitBoundsS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300]

/** Bands that have numbers of their own; those that come later count together. */
const BANDS_MAX = 16
const OTHER_BANDS = "other"

/** The label of a band, by its priority. */
export type BandLabel = (priority: number) => string

export const makeBandLabel = (): BandLabel => {
  const known = new Map<number, string>()
  return (priority) => {
    const label = known.get(priority)
    if (label !== undefined || known.size >= BANDS_MAX) return label ?? OTHER_BANDS
    known.set(priority, `${priority}`)
    return `${priority}`
  }
}

/** How long requests wait at the gateway for room on a pod, and how that ends. */
export const makeWaitMetrics = (registry: MetricRegistry) => {
  const label = makeBandLabel()
  const seconds = registry.histogram(
    "warmroute_waited_seconds",
    "Time that requests waited at the gateway because every pod was busy or away; those placed at once are not counted.",
    waitBoundsS,
    ["band"]
  )
  const ends = registry.counter("warmroute_waits_total", "Waits at the gateway by how they ended.", ["band", "outcome"])
  return {
    label,
    /** `outcome` is one of a few words of the scheduler's. */
    onWaited: (priority: number, waitedS: number, outcome: string): void => {
      const band = label(priority)
      seconds.child(band).observe(waitedS)
      ends.child(band, outcome).add()
    }
  }
}

/** Who waits now. Undefined: nobody ever does. */
interface WatchedRoom {
  readonly bytes: number
  /** Those who wait until a pod is there at all. */
  readonly podlessCount: number
  /** Bands with somebody waiting. */
  readonly bandCounts: () => ReadonlyArray<{ readonly priority: number; readonly count: number }>
}

export const watchWaiting = (registry: MetricRegistry, room: WatchedRoom | undefined, label: BandLabel): void => {
  registry.collected(
    "warmroute_waiting_requests",
    "Requests that wait at the gateway for room on a pod, by band (its priority).",
    "gauge",
    ["band"],
    (emit) => {
      // The band of requests without a wish is always there, so that an alert finds a number.
      const counts = new Map([[label(0), 0]])
      for (const { count, priority } of room?.bandCounts() ?? []) {
        const band = label(priority)
        counts.set(band, (counts.get(band) ?? 0) + count)
      }
      for (const [band, count] of counts) emit([band], count)
    }
  )
  registry.collected(
    "warmroute_waiting_podless_requests",
    "Of those, requests that wait because every pod that serves their model is away.",
    "gauge",
    [],
    (emit) => emit([], room?.podlessCount ?? 0)
  )
  registry.collected(
    "warmroute_waiting_bytes",
    "Memory of the requests that wait at the gateway.",
    "gauge",
    [],
    (emit) => emit([], room?.bytes ?? 0)
  )
}
