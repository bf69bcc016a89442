import { Cause, Effect, Exit, Schedule, type Scope, Stream } from "effect"
import type { PodAddress, PodId } from "../src/core/Pod.ts"
import { type Discovery, DiscoveryError } from "../src/discovery/Discovery.ts"
import type { PoolMessage } from "./PoolSupervisor.ts"
import { type ActorRef, type Message, spawn } from "./runtime/Actor.ts"
import type { ActorCrashed, ActorStopped, AskTimedOut, MailboxFull } from "./runtime/errors.ts"
import type { Reply } from "./runtime/Reply.ts"

/** Ask: wait until every source has listed its pods once; fails when one could not. */
interface AwaitSources {
  readonly _tag: "AwaitSources"
  readonly reply: Reply<void, DiscoveryError>
}
/** From the actor's own children, one a source; `source` is its index. */
interface SourceListed {
  readonly _tag: "SourceListed"
  readonly source: number
  readonly addresses: ReadonlyArray<PodAddress>
}
interface SourceFailed {
  readonly _tag: "SourceFailed"
  readonly source: number
  readonly error: DiscoveryError
}
type DiscoveryMessage = AwaitSources | SourceListed | SourceFailed

interface DiscoveryActorOptions {
  /** A source that failed is asked again after this, doubling up to the most. */
  readonly retryMinMs: number
  readonly retryMaxMs: number
}

export interface DiscoveryActorArgs {
  /** Where two name the same pod, the earlier one's address counts. */
  readonly sources: ReadonlyArray<Discovery>
  readonly pool: ActorRef<PoolMessage>
  readonly options: DiscoveryActorOptions
}

export interface DiscoveryHandle {
  /** Ends when every source has listed its pods once; fails with the error of one that could not. */
  readonly firstSets: (
    deadlineMs: number
  ) => Effect.Effect<void, DiscoveryError | MailboxFull | ActorCrashed | ActorStopped | AskTimedOut>
}

interface SourceState {
  readonly name: string
  /** The last good set; undefined before the first. */
  readonly addresses: ReadonlyArray<PodAddress> | undefined
  /** The failures since then that have been logged. */
  readonly logged: ReadonlyArray<string>
  readonly error: DiscoveryError | undefined
}

interface DiscoveryState {
  readonly sources: ReadonlyArray<SourceState>
  readonly waiting: ReadonlyArray<Reply<void, DiscoveryError>>
}

/** Different failures of one source that are logged between two good sets. */
const KINDS_LOGGED_MAX = 16
/** Sets that may wait; a source that is faster is slowed down. */
const MAILBOX_CAPACITY = 64
const FULL_MAILBOX_RETRY_MS = 50

/** Starts the actor that follows all sources and tells the pool the union of their pods. */
export const makeDiscoveryActor = (
  { options, pool, sources }: DiscoveryActorArgs
): Effect.Effect<DiscoveryHandle, never, Scope.Scope> =>
  Effect.gen(function*() {
    const ref = yield* spawn<DiscoveryState, DiscoveryMessage, never>(
      {
        init: Effect.succeed({
          sources: sources.map(({ name }) => ({ name, addresses: undefined, logged: [], error: undefined })),
          waiting: []
        }),
        receive: (state, message) => Effect.map(receive(pool, state, message), answerWaiting)
      },
      {
        name: "discovery",
        mailboxCapacity: MAILBOX_CAPACITY,
        reservedCapacity: 0,
        restartsMax: 5,
        restartWindowMs: 60_000,
        backoffMinMs: 100,
        backoffMaxMs: 5000
      }
    )
    yield* Effect.forEach(sources, (source, index) => Effect.forkScoped(follow(source, index, ref, options)))
    return {
      firstSets: (deadlineMs) => ref.ask<void, DiscoveryError>((reply) => ({ _tag: "AwaitSources", reply }), deadlineMs)
    }
  })

const receive = (
  pool: ActorRef<PoolMessage>,
  state: DiscoveryState,
  message: DiscoveryMessage
): Effect.Effect<DiscoveryState> => {
  switch (message._tag) {
    case "AwaitSources":
      return Effect.succeed({ ...state, waiting: [...state.waiting.filter(stillThere), message.reply] })
    case "SourceListed":
      return afterListing(pool, state, message)
    case "SourceFailed":
      return afterFailure(state, message)
    default:
      return message satisfies never
  }
}

const stillThere = (reply: Reply<void, DiscoveryError>): boolean => !reply.abandoned()

const afterListing = (
  pool: ActorRef<PoolMessage>,
  state: DiscoveryState,
  { addresses, source }: SourceListed
): Effect.Effect<DiscoveryState> =>
  Effect.gen(function*() {
    const before = state.sources[source]
    if (before === undefined) return state
    const { name } = before
    if (before.error !== undefined) yield* Effect.logInfo(`${name} can be read again`)
    if (addresses.length === 0 && (before.addresses?.length ?? 0) > 0) {
      yield* Effect.logWarning(`${name} lists no pod any more; its ${before.addresses?.length} pods are removed`)
    }
    const sources = state.sources.with(source, { name, addresses, logged: [], error: undefined })
    yield* tellPatiently(pool, { _tag: "PodsDiscovered", addresses: union(sources) })
    return { ...state, sources }
  })

const afterFailure = (state: DiscoveryState, { error, source }: SourceFailed): Effect.Effect<DiscoveryState> =>
  Effect.gen(function*() {
    const before = state.sources[source]
    if (before === undefined) return state
    const isNew = !before.logged.includes(error.why) && before.logged.length < KINDS_LOGGED_MAX
    if (isNew) {
      const kept = before.addresses === undefined ? "" : `; its last ${before.addresses.length} pods stay`
      yield* Effect.logWarning(`${before.name} can't be read: ${error.message}${kept}`)
    }
    const logged = isNew ? [...before.logged, error.why] : before.logged
    return { ...state, sources: state.sources.with(source, { ...before, logged, error }) }
  })

const answerWaiting = (state: DiscoveryState): DiscoveryState => {
  if (state.waiting.length === 0) return state
  const fresh = state.sources.filter(({ addresses }) => addresses === undefined)
  const error = fresh.find((source) => source.error !== undefined)?.error
  if (error === undefined && fresh.length > 0) return state
  for (const reply of state.waiting) {
    if (error === undefined) reply.succeed(undefined)
    else reply.fail(error)
  }
  return { ...state, waiting: [] }
}

const union = (sources: ReadonlyArray<SourceState>): ReadonlyArray<PodAddress> => {
  const byId = new Map<PodId, PodAddress>()
  for (const source of sources) {
    for (const address of source.addresses ?? []) if (!byId.has(address.id)) byId.set(address.id, address)
  }
  return [...byId.values()]
}

/** A child that subscribes to one source, and again with backoff when it fails. A source that ends keeps its set. */
const follow = (
  source: Discovery,
  index: number,
  self: ActorRef<DiscoveryMessage>,
  { retryMaxMs, retryMinMs }: DiscoveryActorOptions
): Effect.Effect<void> =>
  Effect.gen(function*() {
    let failures = 0
    while (true) {
      const exit = yield* Effect.exit(Stream.runForEach(source.addresses, (addresses) => {
        failures = 0
        return tellPatiently(self, { _tag: "SourceListed", source: index, addresses })
      }))
      if (Exit.isSuccess(exit)) return
      const thrown = Cause.squash(exit.cause)
      const error = thrown instanceof DiscoveryError
        ? thrown
        : new DiscoveryError({ source: source.name, why: String(thrown) })
      yield* tellPatiently(self, { _tag: "SourceFailed", source: index, error })
      yield* Effect.sleep(Math.min(retryMaxMs, retryMinMs * 2 ** failures++))
    }
  })

/** Waits while the mailbox is full; a set must not be lost, the next one may come in hours. */
const tellPatiently = <M extends Message>(ref: ActorRef<M>, message: M): Effect.Effect<void> =>
  ref.tell(message).pipe(
    Effect.retry({
      while: (refused) => refused._tag === "MailboxFull",
      schedule: Schedule.spaced(FULL_MAILBOX_RETRY_MS)
    }),
    Effect.ignore
  )
