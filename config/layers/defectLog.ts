import { Effect, Runtime, Schedule, type Scope } from "effect"
import { SeldomLog } from "../../src/telemetry/SeldomLog.ts"

const LINES_EVERY = "1 minute"

/**
 * For defects of the front ends: the first of a kind is logged with its cause, and then, once a minute, how many more came,
 * since one that meets every request would write thousands of stacks a second.
 */
export const makeDefectLog: Effect.Effect<(message: string, cause?: unknown) => void, never, Scope.Scope> = Effect.gen(
  function*() {
    const run = Runtime.runFork(yield* Effect.runtime())
    let first: unknown
    const log = new SeldomLog<string>({
      write: (_, message, more) => {
        if (more > 0) run(Effect.logError(`${message} (${more} more since the last such line)`))
        else run(first === undefined ? Effect.logError(message) : Effect.logError(message, first))
      }
    })
    const telling = Effect.sync(() => log.tick())
    yield* Effect.addFinalizer(() => telling)
    yield* Effect.forkScoped(Effect.schedule(telling, Schedule.spaced(LINES_EVERY)))
    return (message, cause) => {
      first = cause
      log.line(message, () => message)
    }
  }
)
