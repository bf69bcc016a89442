import { Clock, type Context, Effect, FiberHandle, type Scope } from "effect"
import type { PodRecord, SnapshotStore } from "../src/storage/SnapshotStore.ts"
import type { PodSeen } from "./PoolEntry.ts"
import { type ActorRef, spawn } from "./runtime/Actor.ts"
import type { Reply } from "./runtime/Reply.ts"
import type { SchedulerMessage, SketchExport } from "./SchedulerMessages.ts"

/** Ask: save now what has changed, or everything. */
interface TakeSnapshot {
  readonly _tag: "TakeSnapshot"
  readonly everything: boolean
  readonly reply: Reply<SnapshotReport, never>
}
/** From the actor's own ticker. */
interface SnapshotDue {
  readonly _tag: "SnapshotDue"
}
export type SnapshotMessage = TakeSnapshot | SnapshotDue

export interface SnapshotReport {
  readonly podsSaved: number
  /** Pods that did nothing since their last save. */
  readonly podsUnchanged: number
  /** Records of pods long gone that were removed. */
  readonly podsForgotten: number
  /** Why the rest was not saved. */
  readonly failure: string | undefined
}

export interface SnapshotActorOptions {
  readonly intervalMs: number
  /** Pods whose sketches are exported in one go, while streams wait: 1 ms for each with 21,000 blocks, 5 ms with 125,000. */
  readonly podsPerTick: number
  /** Between two goes, for streams to catch up. */
  readonly tickPauseMs: number
  /** A record is removed when its pod was not in the pool for so long. */
  readonly forgetAfterMs: number
  /** For an answer of the scheduler. */
  readonly askDeadlineMs: number
  /** For the last snapshot, at the stop. */
  readonly stopWithinMs: number
}

export const snapshotActorDefaults: SnapshotActorOptions = {
  intervalMs: 10_000,
  podsPerTick: 2,
  tickPauseMs: 5,
  forgetAfterMs: 3_600_000,
  askDeadlineMs: 2000,
  stopWithinMs: 10_000
}

export interface SnapshotActorArgs {
  readonly scheduler: ActorRef<SchedulerMessage>
  readonly store: Context.Tag.Service<SnapshotStore>
  readonly podsSeen: () => ReadonlyArray<PodSeen>
  /** Ids of the records that were in the store at the start. */
  readonly restoredIds: ReadonlyArray<string>
  readonly options: SnapshotActorOptions
}

export interface SnapshotHandle {
  readonly ref: ActorRef<SnapshotMessage>
  /** The next one is due that much later than now. */
  readonly replaceInterval: (intervalMs: number) => Effect.Effect<void>
}

interface SnapshotState {
  /** What each pod looked like when it was saved last. */
  readonly savedMarks: ReadonlyMap<string, string>
  /** When a pod with a record was in the pool last. */
  readonly seenAtMs: ReadonlyMap<string, number>
  /** The output lengths saved last, as text. */
  readonly savedLengths: string
  /** Failures logged since the last snapshot that succeeded. */
  readonly warned: ReadonlyArray<string>
}

/** Different failures that are logged between two successes. */
const KINDS_WARNED_MAX = 16

/**
 * Starts the actor that saves what a restart needs, on an interval and at the stop. To be started after the scheduler
 * and the pool, since scopes close in reverse: its last snapshot needs both.
 */
export const makeSnapshotActor = (
  args: SnapshotActorArgs
): Effect.Effect<SnapshotHandle, never, Scope.Scope> =>
  Effect.gen(function*() {
    const ref = yield* spawn<SnapshotState, SnapshotMessage, never>(
      {
        init: Effect.map(Clock.currentTimeMillis, (nowMs) => ({
          savedMarks: new Map(),
          seenAtMs: new Map(args.restoredIds.map((id) => [id, nowMs])),
          savedLengths: "",
          warned: []
        })),
        receive: (state, message) => receive(args, state, message),
        stopped: (state) => Effect.asVoid(takeSnapshot(args, state, true))
      },
      {
        name: "snapshot",
        // A tick that finds another snapshot under way is superfluous.
        mailboxCapacity: 2,
        reservedCapacity: 0,
        restartsMax: 5,
        restartWindowMs: 10 * args.options.intervalMs,
        backoffMinMs: 100,
        backoffMaxMs: 5000,
        stopWithinMs: args.options.stopWithinMs
      }
    )
    const ticker = yield* FiberHandle.make()
    const replaceInterval = (intervalMs: number): Effect.Effect<void> =>
      Effect.sleep(intervalMs).pipe(
        Effect.zipRight(Effect.ignore(ref.tell({ _tag: "SnapshotDue" }))),
        Effect.forever,
        FiberHandle.run(ticker),
        Effect.asVoid
      )
    yield* replaceInterval(args.options.intervalMs)
    return { ref, replaceInterval }
  })

const receive = (
  args: SnapshotActorArgs,
  state: SnapshotState,
  message: SnapshotMessage
): Effect.Effect<SnapshotState> => {
  switch (message._tag) {
    case "SnapshotDue":
      return Effect.map(takeSnapshot(args, state, false), ({ next }) => next)
    case "TakeSnapshot":
      return Effect.map(takeSnapshot(args, state, message.everything), ({ next, report }) => {
        message.reply.succeed(report)
        return next
      })
    default:
      return message satisfies never
  }
}

interface Outcome {
  readonly next: SnapshotState
  readonly report: SnapshotReport
}

const takeSnapshot = (args: SnapshotActorArgs, state: SnapshotState, everything: boolean): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    const nowMs = yield* Clock.currentTimeMillis
    const seen = args.podsSeen()
    const due = everything ? seen : seen.filter((pod) => {
      const mark = markOf(pod)
      return mark === undefined || mark !== state.savedMarks.get(pod.id)
    })
    const round: Round = {
      nowMs,
      seenAtMs: new Map([...state.seenAtMs, ...seen.map((pod) => [pod.id, nowMs] as const)]),
      savedMarks: new Map(state.savedMarks),
      savedLengths: state.savedLengths,
      podsSaved: 0,
      podsForgotten: 0
    }
    const problem = yield* savePods(args, round, due).pipe(
      Effect.zipRight(saveLengths(args, round)),
      Effect.zipRight(forget(args, round)),
      Effect.match({ onFailure: problemOf, onSuccess: () => undefined })
    )
    const warned = yield* warnOnce(state.warned, problem)
    const { podsForgotten, podsSaved, savedLengths, savedMarks, seenAtMs } = round
    return {
      next: { savedMarks, seenAtMs, savedLengths, warned },
      report: { podsSaved, podsUnchanged: seen.length - due.length, podsForgotten, failure: problem }
    }
  })

/** One snapshot under way; what it has done by the time it fails stays done. */
interface Round {
  readonly nowMs: number
  readonly seenAtMs: Map<string, number>
  readonly savedMarks: Map<string, string>
  savedLengths: string
  podsSaved: number
  podsForgotten: number
}

const savePods = (args: SnapshotActorArgs, round: Round, due: ReadonlyArray<PodSeen>) =>
  Effect.gen(function*() {
    const { askDeadlineMs, podsPerTick, tickPauseMs } = args.options
    for (let start = 0; start < due.length; start += podsPerTick) {
      if (start > 0) yield* Effect.sleep(tickPauseMs)
      const pods = due.slice(start, start + podsPerTick)
      const ids = pods.map((pod) => pod.id)
      const sketches = yield* args.scheduler.ask<ReadonlyArray<SketchExport>, never>(
        (reply) => ({ _tag: "ExportSketches", ids, reply }),
        askDeadlineMs
      )
      const records = pods.flatMap((pod) => recordOf(pod, sketches, round.nowMs))
      yield* args.store.save(records, undefined)
      round.podsSaved += records.length
      for (const pod of pods) {
        const mark = markOf(pod)
        if (mark !== undefined) round.savedMarks.set(pod.id, mark)
      }
    }
  })

const recordOf = (
  { id, models, processStartS }: PodSeen,
  sketches: ReadonlyArray<SketchExport>,
  savedAtMs: number
): ReadonlyArray<PodRecord> => {
  const sketch = sketches.find((exported) => exported.id === id)
  return sketch === undefined ? [] : [{ id, savedAtMs, sketch, lastState: { processStartS, models } }]
}

const saveLengths = (args: SnapshotActorArgs, round: Round) =>
  Effect.gen(function*() {
    const outputTokensByModel = yield* args.scheduler.ask<Readonly<Record<string, number>>, never>(
      (reply) => ({ _tag: "ExportOutputLengths", reply }),
      args.options.askDeadlineMs
    )
    const lengths = JSON.stringify(outputTokensByModel)
    if (lengths === round.savedLengths) return
    yield* args.store.save([], { outputTokensByModel })
    round.savedLengths = lengths
  })

const forget = (args: SnapshotActorArgs, round: Round) =>
  Effect.gen(function*() {
    const oldestMs = round.nowMs - args.options.forgetAfterMs
    const gone = [...round.seenAtMs].filter(([, atMs]) => atMs < oldestMs).map(([id]) => id)
    if (gone.length === 0) return
    yield* args.store.remove(gone)
    for (const id of gone) {
      round.seenAtMs.delete(id)
      round.savedMarks.delete(id)
    }
    round.podsForgotten = gone.length
  })

/**
 * Changes whenever the pod's cache may have changed. It is of the last scrape, so a pick since then may be missing
 * from it: then the next scrape changes it. undefined when the pod does not count its tokens.
 */
const markOf = ({ models, processStartS, tokensTotal }: PodSeen): string | undefined =>
  tokensTotal === undefined ? undefined : `${processStartS} ${tokensTotal} ${models.join(" ")}`

const problemOf = (error: { readonly _tag: string; readonly message: string }): string =>
  error._tag === "SnapshotError" ? error.message : `the scheduler did not answer (${error._tag})`

const warnOnce = (warned: ReadonlyArray<string>, problem: string | undefined): Effect.Effect<ReadonlyArray<string>> => {
  if (problem === undefined) return Effect.succeed([])
  if (warned.includes(problem) || warned.length >= KINDS_WARNED_MAX) return Effect.succeed(warned)
  return Effect.logWarning(`the snapshot is not complete, a restart would be colder: ${problem}`).pipe(
    Effect.as([...warned, problem])
  )
}
