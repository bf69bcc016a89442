import { Effect, HashMap, Logger, type Scope } from "effect"
import { type ActorRef, spawn } from "../../actors/runtime/Actor.ts"
import type { ActorOptions, Behavior } from "../../actors/runtime/Behavior.ts"
import type { Reply } from "../../actors/runtime/Reply.ts"

/** One line of the log as a test sees it. */
export interface LogLine {
  readonly level: string
  readonly text: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/** Runs the program in a scope of its own and closes it; log lines go to `lines` instead of the terminal. */
export const runScoped = <A, E>(
  program: Effect.Effect<A, E, Scope.Scope>,
  lines: Array<LogLine> = []
): Promise<A> => {
  const logger = Logger.make(({ annotations, logLevel, message }) => {
    const parts: ReadonlyArray<unknown> = Array.isArray(message) ? message : [message]
    lines.push({
      level: logLevel.label,
      text: parts.map(String).join(" "),
      annotations: Object.fromEntries(HashMap.toEntries(annotations))
    })
  })
  return Effect.runPromise(
    Effect.scoped(program).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
  )
}

/** Looks at a condition every millisecond; dies with `what` after four seconds. */
export const until = (what: string, condition: () => boolean): Effect.Effect<void> =>
  Effect.sleep(1).pipe(
    Effect.repeat({ until: condition }),
    Effect.timeoutFail({ duration: 4000, onTimeout: () => new Error(`never came: ${what}`) }),
    Effect.orDie,
    Effect.asVoid
  )

/** A message that says itself what to do, so that one behaviour serves all tests of the runtime. */
export type ScriptMessage =
  | { readonly _tag: "Do"; readonly run: (seen: ReadonlyArray<string>) => ScriptStep }
  | {
    readonly _tag: "Asked"
    readonly run: (seen: ReadonlyArray<string>, reply: Reply<string, string>) => ScriptStep
    readonly reply: Reply<string, string>
  }
type ScriptStep = ReadonlyArray<string> | Effect.Effect<ReadonlyArray<string>>

export const act = (run: (seen: ReadonlyArray<string>) => ScriptStep): ScriptMessage => ({ _tag: "Do", run })

/** Adds a word to the state. */
export const say = (word: string): ScriptMessage => act((seen) => [...seen, word])

export const asked =
  (run: (seen: ReadonlyArray<string>, reply: Reply<string, string>) => ScriptStep) =>
  (reply: Reply<string, string>): ScriptMessage => ({ _tag: "Asked", run, reply })

/** Answers with all words so far. */
export const recall = asked((seen, reply) => {
  reply.succeed(seen.join(" "))
  return seen
})

/** Stays in hand until `release` is called. */
export const gate = (): { readonly message: ScriptMessage; readonly release: () => void } => {
  const latch = Effect.unsafeMakeLatch()
  return {
    message: act((seen) => Effect.as(latch.await, [...seen, "gate"])),
    release: () => latch.unsafeOpen()
  }
}

export const spawnScript = (
  options: Partial<ActorOptions> = {},
  behavior: Partial<Behavior<ReadonlyArray<string>, ScriptMessage>> = {}
): Effect.Effect<ActorRef<ScriptMessage>, never, Scope.Scope> =>
  spawn<ReadonlyArray<string>, ScriptMessage, never>(
    {
      init: Effect.succeed([]),
      receive: (seen, message) => message._tag === "Do" ? message.run(seen) : message.run(seen, message.reply),
      ...behavior
    },
    {
      name: "script",
      mailboxCapacity: 64,
      reservedCapacity: 8,
      restartsMax: 5,
      restartWindowMs: 60_000,
      backoffMinMs: 1,
      backoffMaxMs: 8,
      ...options
    }
  )
