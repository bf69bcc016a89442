import { Effect, Fiber, Logger, LogLevel, Stream } from "effect"
import type { Discovery } from "../../src/discovery/Discovery.ts"

/** Values in the order they came, each handed out once, waited for when not there yet. */
class Feed {
  private readonly values: Array<string> = []
  private readonly askers: Array<(value: string) => void> = []

  push(value: string): void {
    const asker = this.askers.shift()
    if (asker === undefined) this.values.push(value)
    else asker(value)
  }

  next(): Promise<string> {
    const value = this.values.shift()
    return value === undefined ? new Promise((resolve) => this.askers.push(resolve)) : Promise.resolve(value)
  }
}

export interface Followed {
  /** The next set of pods: ids, with the preset in brackets, joined by blanks; or `failed: …`. */
  readonly nextSet: () => Promise<string>
  /** The next line of the log. */
  readonly nextLog: () => Promise<string>
  readonly stop: () => Promise<unknown>
}

/** Runs a discovery as its actor would. */
export const follow = (discovery: Discovery): Followed => {
  const sets = new Feed()
  const log = new Feed()
  const logger = Logger.make(({ message }) => log.push(Array.isArray(message) ? message.join(" ") : String(message)))
  const program = Stream.runForEach(
    discovery.addresses,
    (pods) =>
      Effect.sync(() => sets.push(pods.map((pod) => pod.preset ? `${pod.id}(${pod.preset})` : pod.id).join(" ")))
  ).pipe(
    Effect.catchAll((error) => Effect.sync(() => sets.push(`failed: ${error.message}`))),
    Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
    Logger.withMinimumLogLevel(LogLevel.Info)
  )
  const fiber = Effect.runFork(program)
  return {
    nextSet: () => sets.next(),
    nextLog: () => log.next(),
    stop: () => Effect.runPromise(Fiber.interrupt(fiber))
  }
}
