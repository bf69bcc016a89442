import { Effect, Runtime } from "effect"

interface Said {
  atMs: number
  untold: number
}

/** Warnings of a few kinds, each kind at most once per `everyMs`; the next one tells how many were kept back. */
export interface RateLimitedLog {
  /** `kind` comes from a fixed set; it is not printed. Neither blocks nor throws. */
  readonly warn: (kind: string, message: string) => void
  readonly info: (message: string) => void
}

export const makeRateLimitedLog = (everyMs: number, nowMs: () => number): Effect.Effect<RateLimitedLog> =>
  Effect.map(Effect.runtime(), (runtime) => {
    const saidByKind = new Map<string, Said>()
    const run = Runtime.runFork(runtime)
    return {
      warn: (kind, message) => {
        const said = saidByKind.get(kind)
        const now = nowMs()
        if (said !== undefined && now - said.atMs < everyMs) {
          said.untold++
          return
        }
        const more = said === undefined || said.untold === 0
          ? ""
          : ` (and ${said.untold} more since the last such line)`
        saidByKind.set(kind, { atMs: now, untold: 0 })
        run(Effect.logWarning(`discovery: ${message}${more}`))
      },
      info: (message) => {
        run(Effect.logInfo(`discovery: ${message}`))
      }
    }
  })
