import { Effect } from "effect"

export type StopSignal = "SIGINT" | "SIGTERM"

/** A terminal signals the whole process group and npx or a shell may pass it on: one Ctrl-C can come several times. */
const SAME_KEYPRESS_MS = 500

const EXIT_FORCED = 130

/** Listens from now on. The effect inside waits for the first signal; a second one ends the process at once. */
export const stopSignals: Effect.Effect<Effect.Effect<StopSignal>> = Effect.sync(() => {
  const first = Promise.withResolvers<StopSignal>()
  let firstAtMs: number | undefined
  // Never taken off again: a late copy of the signal must not kill the process while it tidies up.
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal)
  return Effect.promise(() => first.promise)

  function onSignal(signal: StopSignal): void {
    if (firstAtMs === undefined) {
      firstAtMs = performance.now()
      first.resolve(signal)
    } else if (performance.now() - firstAtMs > SAME_KEYPRESS_MS) {
      process.exit(EXIT_FORCED)
    }
  }
})
