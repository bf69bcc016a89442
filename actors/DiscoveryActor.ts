import { Cause, Effect, Exit, Fiber, Scope, Stream } from "effect"
import type { PodAddress, PodId } from "../src/core/Pod.ts"
import { counted } from "../src/core/counted.ts"
import { type Discovery, DiscoveryError } from "../src/discovery/Discovery.ts"
import type { PoolMessage } from "./PoolMessages.ts"
import { type ActorRef, spawn } from "./runtime/Actor.ts"
import type { ActorCrashed, ActorStopped, AskTimedOut, MailboxFull } from "./runtime/errors.ts"
import type { Reply } from "./runtime/Reply.ts"
import { seldomCrashing } from "./runtime/seldomCrashing.ts"
import { tellPatiently } from "./runtime/tellPatiently.ts"

/** Ask: wait until every source has listed its pods once; fails when one could not. */
interface AwaitSources {
  readonly _tag: "AwaitSources"
  readonly reply: Reply<void, DiscoveryError>
}
/** The operator changed where pods come from. A source that was there before goes on as it is. */
interface SourcesReplaced {
  readonly _tag: "SourcesReplaced"
  readonly sources: ReadonlyArray<Discovery>
}
/** From the actor's own children, one a source. */
interface SourceListed {
  readonly _tag: "SourceListed"
  readonly key: number
  readonly addresses: ReadonlyArray<PodAddress>
}
interface SourceFailed {
  readonly _tag: "SourceFailed"
  readonly key: number
  readonly error: DiscoveryError
}
type DiscoveryMessage = AwaitSources | SourcesReplaced | SourceListed | SourceFailed

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
  /**
   * Follows these sources from now on. Pods of a source that is gone stay until every new source has listed its own
   * for the first time, so that a slow or wrong one empties no pool.
   */
  readonly replaceSources: (sources: ReadonlyArray<Discovery>) => Effect.Effect<void>
  /** Ends when every source has listed its pods once; fails with the error of one that could not. */
  readonly firstSets: (
    deadlineMs: number
  ) => Effect.Effect<void, DiscoveryError | MailboxFull | ActorCrashed | ActorStopped | AskTimedOut>
  /** Fails when its actor is beyond recovery: no change of pods is noticed any more. */
  readonly failed: Effect.Effect<never, ActorStopped>
}

interface SourceState {
  /** Tells its messages from those of a source that was replaced. */
  readonly key: number
  readonly source: Discovery
  readonly follower: Fiber.RuntimeFiber<void>
  /** The last good set; undefined before the first. */
  readonly addresses: ReadonlyArray<PodAddress> | undefined
  /** The failures since then that have been logged. */
  readonly logged: ReadonlyArray<string>
  readonly error: DiscoveryError | undefined
}

interface DiscoveryState {
  readonly sources: ReadonlyArray<SourceState>
  readonly lastKey: number
  /** What the pool was told last. */
  readonly told: ReadonlyArray<PodAddress>
  /** Keys of sources that came while the gateway ran and have not listed yet. */
  readonly awaited: ReadonlySet<number>
  readonly waiting: ReadonlyArray<Reply<void, DiscoveryError>>
}

/** What the functions below share; `self` is written by `makeDiscoveryActor` alone. */
interface World {
  readonly pool: ActorRef<PoolMessage>
  readonly options: DiscoveryActorOptions
  readonly scope: Scope.Scope
  self: ActorRef<DiscoveryMessage> | undefined
}

/** Different failures of one source that are logged between two good sets. */
const KINDS_LOGGED_MAX = 16
/** Sets that may wait; a source that is faster is slowed down. */
const MAILBOX_CAPACITY = 64

/** Starts the actor that follows all sources and tells the pool the union of their pods. */
export const makeDiscoveryActor = (
  { options, pool, sources }: DiscoveryActorArgs
): Effect.Effect<DiscoveryHandle, never, Scope.Scope> =>
  Effect.gen(function*() {
    const world: World = { pool, options, scope: yield* Effect.scope, self: undefined }
    const ref = yield* spawn<DiscoveryState, DiscoveryMessage, never>(
      {
        init: Effect.succeed({ sources: [], lastKey: 0, told: [], awaited: new Set<number>(), waiting: [] }),
        receive: (state, message) => Effect.map(receive(world, state, message), answerWaiting)
      },
      {
        name: "discovery",
        mailboxCapacity: MAILBOX_CAPACITY,
        reservedCapacity: 0,
        ...seldomCrashing
      }
    )
    world.self = ref
    const replaceSources = (sources: ReadonlyArray<Discovery>): Effect.Effect<void> =>
      tellPatiently(ref, { _tag: "SourcesReplaced", sources })
    yield* replaceSources(sources)
    return {
      replaceSources,
      firstSets: (deadlineMs) =>
        ref.ask<void, DiscoveryError>((reply) => ({ _tag: "AwaitSources", reply }), deadlineMs),
      failed: ref.join
    }
  })

const receive = (
  world: World,
  state: DiscoveryState,
  message: DiscoveryMessage
): Effect.Effect<DiscoveryState> => {
  switch (message._tag) {
    case "AwaitSources":
      return Effect.succeed({ ...state, waiting: [...state.waiting.filter(stillThere), message.reply] })
    case "SourcesReplaced":
      return afterReplacement(world, state, message)
    case "SourceListed":
      return afterListing(world, state, message)
    case "SourceFailed":
      return afterFailure(state, message)
    default:
      return message satisfies never
  }
}

const stillThere = (reply: Reply<void, DiscoveryError>): boolean => !reply.abandoned()

const afterReplacement = (
  world: World,
  state: DiscoveryState,
  { sources }: SourcesReplaced
): Effect.Effect<DiscoveryState> =>
  Effect.gen(function*() {
    const kept = new Map(state.sources.map((known) => [known.source, known]))
    const awaited = new Set<number>()
    const next: Array<SourceState> = []
    let lastKey = state.lastKey
    for (const source of sources) {
      const known = kept.get(source)
      kept.delete(source)
      if (known === undefined) {
        const key = ++lastKey
        const follower = yield* Effect.forkIn(follow(world, source, key), world.scope)
        // One of the same name is the same place asked in another way, so what it said last still holds.
        const addresses = state.sources.find((other) => other.source.name === source.name)?.addresses
        if (addresses === undefined && state.lastKey > 0) awaited.add(key)
        next.push({ key, source, follower, addresses, logged: [], error: undefined })
      } else {
        if (state.awaited.has(known.key)) awaited.add(known.key)
        next.push(known)
      }
    }
    for (const { follower } of kept.values()) yield* Fiber.interruptFork(follower)
    return yield* tellPool(world, { ...state, sources: next, lastKey, awaited })
  })

const afterListing = (
  world: World,
  state: DiscoveryState,
  { addresses, key }: SourceListed
): Effect.Effect<DiscoveryState> =>
  Effect.gen(function*() {
    const index = state.sources.findIndex((source) => source.key === key)
    const before = state.sources[index]
    if (before === undefined) return state
    const { name } = before.source
    if (before.error !== undefined) yield* Effect.logInfo(`${name} can be read again`)
    if (addresses.length === 0 && (before.addresses?.length ?? 0) > 0) {
      yield* Effect.logWarning(`${name} lists no pod any more; pods removed: ${before.addresses?.length}`)
    }
    const sources = state.sources.with(index, { ...before, addresses, logged: [], error: undefined })
    const awaited = new Set(state.awaited)
    awaited.delete(key)
    return yield* tellPool(world, { ...state, sources, awaited })
  })

const tellPool = ({ pool }: World, state: DiscoveryState): Effect.Effect<DiscoveryState> => {
  const listed = state.sources.map((source) => source.addresses ?? [])
  const told = union(state.awaited.size === 0 ? listed : [...listed, state.told])
  if (told.length === 0 && state.told.length === 0) return Effect.succeed(state)
  return Effect.as(tellPatiently(pool, { _tag: "PodsDiscovered", addresses: told }), { ...state, told })
}

const afterFailure = (state: DiscoveryState, { error, key }: SourceFailed): Effect.Effect<DiscoveryState> =>
  Effect.gen(function*() {
    const index = state.sources.findIndex((source) => source.key === key)
    const before = state.sources[index]
    if (before === undefined) return state
    const isNew = !before.logged.includes(error.why) && before.logged.length < KINDS_LOGGED_MAX
    if (isNew) {
      const own = before.addresses === undefined
        ? ""
        : `; its last list stays (${counted(before.addresses.length, "pod")})`
      const kept = state.awaited.has(key) ? "; the pods of before stay until it can be" : own
      yield* Effect.logWarning(`${before.source.name} can't be read: ${error.message}${kept}`)
    }
    const logged = isNew ? [...before.logged, error.why] : before.logged
    return { ...state, sources: state.sources.with(index, { ...before, logged, error }) }
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

const union = (lists: ReadonlyArray<ReadonlyArray<PodAddress>>): ReadonlyArray<PodAddress> => {
  const byId = new Map<PodId, PodAddress>()
  for (const address of lists.flat()) if (!byId.has(address.id)) byId.set(address.id, address)
  return [...byId.values()]
}

/** A child that subscribes to one source, and again with backoff when it fails. A source that ends keeps its set, and no set is lost: the next one may come in hours. */
const follow = (world: World, source: Discovery, key: number): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { options: { retryMaxMs, retryMinMs }, self } = world
    if (self === undefined) return
    let failures = 0
    while (true) {
      const exit = yield* Effect.exit(Stream.runForEach(source.addresses, (addresses) => {
        failures = 0
        return tellPatiently(self, { _tag: "SourceListed", key, addresses })
      }))
      if (Exit.isSuccess(exit)) return
      const thrown = Cause.squash(exit.cause)
      const error = thrown instanceof DiscoveryError
        ? thrown
        : new DiscoveryError({ source: source.name, why: String(thrown) })
      yield* tellPatiently(self, { _tag: "SourceFailed", key, error })
      yield* Effect.sleep(Math.min(retryMaxMs, retryMinMs * 2 ** failures++))
    }
  })
