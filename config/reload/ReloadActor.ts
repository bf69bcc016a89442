import { Duration, Effect, type Scope, Stream } from "effect"
import { type ActorRef, spawn } from "../../actors/runtime/Actor.ts"
import { ActorCrashed, ActorStopped, AskTimedOut, MailboxFull } from "../../actors/runtime/errors.ts"
import type { Reply } from "../../actors/runtime/Reply.ts"
import { seldomCrashing } from "../../actors/runtime/seldomCrashing.ts"
import { fileChanges } from "../../src/discovery/fileChanges.ts"
import { readPlainFile } from "../../src/discovery/plainFile.ts"
import { BadConfiguration, Overloaded } from "../../src/errors.ts"
import type { ConfigReader } from "../ConfigReader.ts"
import type { GatewayConfig } from "../GatewayConfig.ts"
import type { GatewayStartError } from "../GatewayStartError.ts"
import { CONFIG_BYTES_MAX } from "../loadConfig.ts"
import { changeText, configDiff, runningConfig, type SettingChange } from "./configDiff.ts"

/** Ask: read the configuration and take it. */
interface ReloadAsked {
  readonly _tag: "ReloadAsked"
  readonly reply: Reply<ReloadReport, BadConfiguration>
}
/** From the actor's own child: have a look whether the file says something new. */
interface FileLookDue {
  readonly _tag: "FileLookDue"
}
type ReloadMessage = ReloadAsked | FileLookDue

export interface ReloadReport {
  /** unchanged: it says what is running already. */
  readonly outcome: "applied" | "unchanged"
  readonly changes: ReadonlyArray<SettingChange>
  readonly warnings: ReadonlyArray<string>
}

export interface ReloadActorArgs {
  readonly started: GatewayConfig
  readonly reader: ConfigReader["Type"]
  /** Brings the running gateway from one configuration to the other, whole or not at all. */
  readonly apply: (before: GatewayConfig, after: GatewayConfig) => Effect.Effect<void, GatewayStartError>
  readonly reloaded: (outcome: ReloadReport["outcome"] | "refused") => void
}

export interface ReloadHandle {
  /**
   * Rejects with BadConfiguration, which gives the reason in words, file, line and column among them, or with
   * Overloaded; then nothing has changed.
   */
  readonly reload: () => Promise<ReloadReport>
  /** What the gateway runs with now. */
  readonly running: () => GatewayConfig
}

interface ReloadState {
  readonly running: GatewayConfig
  /** What was read last and taken, settings that wait for a restart included. */
  readonly read: GatewayConfig
  /** Why the file was refused last, so that a look at the same file says it once. */
  readonly fault: string | undefined
  /** The file at the last look. */
  readonly text: string | undefined
}

/** Reloads that may wait; each takes as long as reading a file. */
const MAILBOX_CAPACITY = 8
const DEADLINE_MS = 30_000
/** An editor writes a file in several steps. */
const SETTLE_MS = 100

/** Starts the actor that reloads the configuration, one reload at a time, when asked and when its file changes. */
export const makeReloadActor = (args: ReloadActorArgs): Effect.Effect<ReloadHandle, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { reader: { path }, started } = args
    let published = started
    const publish = (state: ReloadState): ReloadState => {
      published = state.running
      return state
    }
    const ref = yield* spawn<ReloadState, ReloadMessage, never>(
      {
        init: Effect.succeed({ running: started, read: started, fault: undefined, text: undefined }),
        receive: (state, message) =>
          Effect.map(message._tag === "FileLookDue" ? look(args, state) : receive(args, state, message), publish)
      },
      {
        name: "reload",
        mailboxCapacity: MAILBOX_CAPACITY,
        reservedCapacity: 0,
        ...seldomCrashing
      }
    )
    if (path !== undefined && started.reload.watch) yield* Effect.forkScoped(followFile(path, started, ref))
    const reload = () =>
      ref.unsafeAsk<ReloadReport, BadConfiguration>((reply) => ({ _tag: "ReloadAsked", reply }), DEADLINE_MS)
        .catch((error: unknown) => Promise.reject(inWords(error)))
    return { reload, running: () => published }
  })

const inWords = (error: unknown): unknown => {
  if (error instanceof MailboxFull || error instanceof AskTimedOut) {
    return new Overloaded("too_many_reloads", "other reloads are under way already", 1)
  }
  if (error instanceof ActorStopped) return refused("the gateway is stopping")
  if (error instanceof ActorCrashed) return refused("the reload failed by a defect of the gateway; its log says why")
  return error
}

const followFile = (path: string, { reload }: GatewayConfig, ref: ActorRef<ReloadMessage>): Effect.Effect<void> => {
  const looks = Stream.merge(Stream.tick(Duration.toMillis(reload.poll)), fileChanges(path, SETTLE_MS))
  // A full mailbox has a look under way that will see the change.
  return Stream.runForEach(looks, () => Effect.ignore(ref.tell({ _tag: "FileLookDue" })))
}

/** To parse and check a file holds every stream up for tens of milliseconds, so one that was taken is only compared. */
const look = (args: ReloadActorArgs, state: ReloadState): Effect.Effect<ReloadState> =>
  Effect.gen(function*() {
    const text = yield* textOf(args.reader.path)
    if (text !== undefined && text === state.text && state.fault === undefined) return state
    const next = yield* receive(args, state, { _tag: "FileLookDue" })
    return { ...next, text }
  })

/** undefined: it can't be read, and whoever reads the configuration says why. */
const textOf = (path: string | undefined): Effect.Effect<string | undefined> =>
  path === undefined
    ? Effect.succeed(undefined)
    : Effect.promise(() => readPlainFile(path, CONFIG_BYTES_MAX).catch(() => undefined))

const receive = (args: ReloadActorArgs, state: ReloadState, message: ReloadMessage): Effect.Effect<ReloadState> =>
  take(args, state, message._tag === "FileLookDue").pipe(
    Effect.map(({ next, report }) => {
      if (message._tag === "ReloadAsked") message.reply.succeed(report)
      return next
    }),
    Effect.catchAll((error) => {
      if (message._tag === "ReloadAsked") message.reply.fail(error)
      const again = message._tag === "FileLookDue" && error.message === state.fault
      const say = Effect.logError(`the configuration is not taken, nothing has changed: ${error.message}`)
      return Effect.as(again ? Effect.void : Effect.zipRight(count(args, "refused"), say), {
        ...state,
        fault: error.message
      })
    })
  )

const count = ({ reloaded }: ReloadActorArgs, outcome: ReloadReport["outcome"] | "refused"): Effect.Effect<void> =>
  Effect.sync(() => reloaded(outcome))

interface Taken {
  readonly next: ReloadState
  readonly report: ReloadReport
}

/** `quiet`: nobody asked, so a configuration that was taken before is no news. */
const take = (
  args: ReloadActorArgs,
  state: ReloadState,
  quiet: boolean
): Effect.Effect<Taken, BadConfiguration> =>
  Effect.gen(function*() {
    const { config, warnings } = yield* Effect.mapError(args.reader.read, (error) => refused(error.render()))
    const changes = configDiff(state.running, config)
    const outcome = changes.length === 0 ? "unchanged" : "applied"
    const report = { outcome, changes, warnings } as const
    if (quiet && configDiff(state.read, config).length === 0) {
      return { next: { ...state, fault: undefined }, report }
    }
    const running = runningConfig(state.running, config)
    yield* Effect.mapError(args.apply(state.running, running), ({ message }) => refused(message))
    yield* count(args, outcome)
    yield* Effect.forEach(warnings, (warning) => Effect.logWarning(warning), { discard: true })
    yield* Effect.logInfo(
      outcome === "unchanged"
        ? "configuration read again: nothing has changed"
        : `configuration read again: ${changes.length} ${changes.length === 1 ? "setting differs" : "settings differ"}`
    )
    yield* Effect.forEach(changes, (change) => Effect.logInfo(`  ${changeText(change)}`), { discard: true })
    return { next: { ...state, running, read: config, fault: undefined }, report }
  })

const refused = (message: string) => new BadConfiguration({ message })
