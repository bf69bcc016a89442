import { Effect } from "effect"

export type StopSignal = "SIGINT" | "SIGTERM"

export interface StopSignals {
  /** Waits for the signal that asks for a stop. */
  readonly first: Effect.Effect<StopSignal>
  /** Waits for the next, for what is patient. */
  readonly second: Effect.Effect<StopSignal>
}

/** A terminal signals the whole process group and npx or a shell may pass it on: one Ctrl-C can come several times. */
const SAME_KEYPRESS_MS = 500

const EXIT_FORCED = 130

/** Listens from now on; the signal with the number `forcedBy` ends the process at once. */
export const stopSignals = (forcedBy: 2 | 3): Effect.Effect<StopSignals> =>
  Effect.sync(() => {
    const first = Promise.withResolvers<StopSignal>()
    const second = Promise.withResolvers<StopSignal>()
    let count = 0
    let lastAtMs = -Infinity
    // Never taken off again: a late copy of the signal must not kill the process while it tidies up.
    process.on("SIGINT", onSignal).on("SIGTERM", onSignal)
    return { first: Effect.promise(() => first.promise), second: Effect.promise(() => second.promise) }

    function onSignal(signal: StopSignal): void {
      const nowMs = performance.now()
      if (nowMs - lastAtMs <= SAME_KEYPRESS_MS) return
      lastAtMs = nowMs
      if (++count >= forcedBy) process.exit(EXIT_FORCED)
      if (count === 1) first.resolve(signal)
      else second.resolve(signal)
    }
  })
