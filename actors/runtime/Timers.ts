import { Context } from "effect"

/** What actors take time from beside Effect's clock, on the paths that make no fiber. */
export interface Timers {
  /** Monotonic; only differences count. */
  readonly nowMs: () => number
  readonly start: (run: () => void, delayMs: number) => unknown
  /** Of one that ran or was never started: nothing happens. */
  readonly stop: (timer: unknown) => void
  /** Once timers and sockets have had their turn. */
  readonly soon: (run: () => void) => void
}

const liveTimers: Timers = {
  nowMs: () => performance.now(),
  start: (run, delayMs) => setTimeout(run, delayMs),
  stop: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout> | undefined),
  soon: (run) => void setImmediate(run)
}

/** Those of the process, unless a test provides virtual ones. */
export class ActorTimers extends Context.Reference<ActorTimers>()<"warmroute/ActorTimers", Timers>(
  "warmroute/ActorTimers",
  { defaultValue: () => liveTimers }
) {}
