import { Effect, Exit, Fiber, Scope } from "effect"
import { secondsText } from "../src/core/counted.ts"
import type { EngineConstants } from "../src/core/EngineConstants.ts"
import { type PodAddress, type PodId } from "../src/core/Pod.ts"
import type { PodRecord } from "../src/storage/SnapshotStore.ts"
import type { PodProbe } from "../src/vllm/PodProbe.ts"
import { AwayPods } from "./AwayPods.ts"
import { LeftOutPods } from "./LeftOutPods.ts"
import { makePodActor, type PodHandle, type PodMessage } from "./PodActor.ts"
import {
  type Entry,
  type Gone,
  isLiving,
  type Living,
  type PodSeen,
  podsSeen,
  poolView,
  saidAlike,
  sameAddress
} from "./PoolEntry.ts"
import type { PodGaveUp, PoolMessage, PoolOptions, PoolSettings } from "./PoolMessages.ts"
import type { PoolView } from "./PoolView.ts"
import { type ActorRef, spawn } from "./runtime/Actor.ts"
import type { SchedulerMessage } from "./SchedulerMessages.ts"

export interface PoolArgs {
  readonly probe: PodProbe
  readonly scheduler: ActorRef<SchedulerMessage>
  readonly constantsFor: (address: PodAddress) => EngineConstants
  /** What the snapshot kept; each record is used for the first life of its pod only. */
  readonly restored: ReadonlyArray<PodRecord>
  readonly options: PoolOptions
}

export interface PoolHandle {
  readonly ref: ActorRef<PoolMessage>
  readonly view: PoolView
  /** A request there failed: have a look at the pod. Unknown ids are passed over. */
  readonly podFailed: (id: PodId, why: string) => void
  /** A pod in doubt goes on answering requests. Unknown ids are passed over. */
  readonly podAnswers: (id: PodId) => void
  readonly podsSeen: () => ReadonlyArray<PodSeen>
}

/** Messages that the supervisor's children may have waiting: gave up, retry, drained twice, stopped. */
const RESERVED_PER_POD = 5

/**
 * Starts the supervisor of all pod actors. Closing the scope stops the pods too; the scheduler's actor must have been
 * started before, so that it still hears of them.
 */
export const makePoolSupervisor = (args: PoolArgs): Effect.Effect<PoolHandle, never, Scope.Scope> =>
  Effect.gen(function*() {
    const pool: Pool = {
      ...args,
      scope: yield* Effect.scope,
      entries: new Map(),
      unclaimed: new Map(args.restored.map((record) => [record.id, record])),
      desired: [],
      away: new AwayPods(),
      leftOut: new LeftOutPods(),
      self: undefined
    }
    yield* Effect.addFinalizer(() => closeAll(pool))
    const { mailboxCapacity, podsMax } = args.options
    const ref = yield* spawn<Pool, PoolMessage, never>(
      {
        init: Effect.succeed(pool),
        receive: (state, message) => Effect.as(receive(state, message), state),
        // The crash may have come in the middle of starting and stopping pods, which is safe to do again.
        recover: (state) => Effect.as(reconcile(state), state)
      },
      {
        name: "pool",
        mailboxCapacity,
        reservedCapacity: RESERVED_PER_POD * podsMax,
        restartsMax: 5,
        restartWindowMs: 60_000,
        backoffMinMs: 50,
        backoffMaxMs: 5000
      }
    )
    pool.self = ref
    tellScheduler(pool, { _tag: "PoolStarted", askForModels: () => askForModels(pool) })
    const { entries } = pool
    return {
      ref,
      view: poolView(entries),
      podFailed: (id, why) => tellPod(entries.get(id), { _tag: "DispatchFailed", why }),
      podAnswers: (id) => tellPod(entries.get(id), { _tag: "RequestsAnswered" }),
      podsSeen: () => podsSeen(entries)
    }
  })

/** The supervisor's state; the view reads `entries`, nobody but the supervisor writes. */
interface Pool extends PoolArgs {
  constantsFor: PoolArgs["constantsFor"]
  options: PoolOptions
  readonly scope: Scope.Scope
  readonly entries: Map<PodId, Entry>
  readonly unclaimed: Map<string, PodRecord>
  desired: ReadonlyArray<PodAddress>
  readonly away: AwayPods
  readonly leftOut: LeftOutPods
  self: ActorRef<PoolMessage> | undefined
}

const receive = (pool: Pool, message: PoolMessage): Effect.Effect<void> => {
  switch (message._tag) {
    case "PodsDiscovered":
      pool.desired = message.addresses
      return reconcile(pool)
    case "PoolSettingsReplaced":
      return Effect.sync(() => replaceSettings(pool, message.settings))
    case "PodGaveUp":
      return afterGivingUp(pool, message)
    case "PodRetryDue":
      if (pool.entries.get(message.entry.address.id) === message.entry) pool.entries.delete(message.entry.address.id)
      return reconcile(pool)
    case "PodDrained": {
      const entry = pool.entries.get(message.id)
      return isLiving(entry) && entry.phase === "draining" && entry.pod === message.pod
        ? stopPod(pool, entry, "it was removed from the pool")
        : Effect.void
    }
    case "PodStopped":
      if (pool.entries.get(message.id)?.phase === "stopping") pool.entries.delete(message.id)
      return reconcile(pool)
    default:
      return message satisfies never
  }
}

const replaceSettings = (pool: Pool, { constantsFor, drainGraceMs, pod }: PoolSettings): void => {
  pool.constantsFor = constantsFor
  pool.options = { ...pool.options, drainGraceMs, pod }
  for (const entry of pool.entries.values()) if (isLiving(entry)) tellSettings(pool, entry)
}

const tellSettings = ({ constantsFor, options }: Pool, { address, pod: { ref } }: Living): void => {
  const message = { _tag: "PodSettingsReplaced", constants: constantsFor(address), options: options.pod } as const
  if (!ref.unsafeTell(message)) ref.unsafeTellReserved(message)
}

/** Brings the pod actors in line with the desired set; what can't be done now is done when a pod has stopped. */
const reconcile = (pool: Pool): Effect.Effect<void> =>
  Effect.gen(function*() {
    const wanted = new Map(pool.desired.map((address) => [address.id, address]))
    for (const [id, entry] of pool.entries) {
      const address = wanted.get(id)
      if (!isLiving(entry)) {
        if (entry.phase === "down" && address === undefined) pool.entries.delete(id)
      } else if (address === undefined) {
        if (entry.phase === "running") yield* drain(pool, entry)
      } else if (!sameAddress(address, entry.address)) {
        yield* stopPod(pool, entry, "its address has changed")
      } else {
        if (entry.phase === "draining") yield* undrain(pool, entry)
        if (!saidAlike(address, entry.address)) relabel(pool, address)
      }
    }
    const refused: Array<PodId> = []
    for (const address of wanted.values()) {
      if (pool.entries.has(address.id)) continue
      if (pool.entries.size < pool.options.podsMax) yield* startPod(pool, address)
      else refused.push(address.id)
    }
    yield* pool.leftOut.warn(refused, pool.options.podsMax)
  })

/** What discovery says of the pod has changed; its actor, its sketch and its requests stay. */
const relabel = (pool: Pool, address: PodAddress): void => {
  const entry = pool.entries.get(address.id)
  if (!isLiving(entry)) return
  const relabelled = { ...entry, address }
  pool.entries.set(address.id, relabelled)
  tellSettings(pool, relabelled)
  tellScheduler(pool, { _tag: "PodJoined", address, constants: pool.constantsFor(address), restored: undefined })
}

const tellScheduler = ({ scheduler }: Pool, message: SchedulerMessage): void => {
  if (!scheduler.unsafeTell(message)) scheduler.unsafeTellReserved(message)
}

/** A pod whose actor can't even be made is down, as one whose actor gave up: the others need their supervisor. */
const startPod = (pool: Pool, address: PodAddress): Effect.Effect<void> =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const started = yield* Effect.exit(startActor(pool, address, scope))
    if (Exit.isSuccess(started)) return yield* Effect.logInfo(`pod ${address.id} joined the pool`)
    yield* Effect.logError(`the actor of pod ${address.id} could not start`, started.cause)
    yield* Scope.close(scope, Exit.void)
    yield* leaveOut(pool, address, "its actor could not start")
  }).pipe(Effect.uninterruptible)

const startActor = (pool: Pool, address: PodAddress, scope: Scope.CloseableScope): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { id } = address
    const restored = pool.unclaimed.get(id)
    pool.unclaimed.delete(id)
    const pod: PodHandle = yield* makePodActor({
      address,
      constants: pool.constantsFor(address),
      probe: pool.probe,
      scheduler: pool.scheduler,
      restored,
      onIdle: Effect.sync(() => tellSelf(pool, { _tag: "PodDrained", id, pod })),
      away: pool.away,
      options: pool.options.pod
    }).pipe(Scope.extend(scope))
    pool.entries.set(id, { phase: "running", address, pod, scope, grace: undefined })
    yield* pod.ref.join.pipe(
      Effect.catchAll(({ reason }) => Effect.sync(() => tellSelf(pool, { _tag: "PodGaveUp", id, pod, reason }))),
      Effect.interruptible,
      Effect.forkIn(scope)
    )
  })

const drain = (pool: Pool, entry: Living): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { address: { id }, pod } = entry
    yield* Effect.logInfo(`pod ${id} was removed; it drains for at most ${secondsText(pool.options.drainGraceMs)}`)
    pod.ref.unsafeTellReserved({ _tag: "Drain" })
    const grace = yield* Effect.sleep(pool.options.drainGraceMs).pipe(
      Effect.map(() => tellSelf(pool, { _tag: "PodDrained", id, pod })),
      Effect.forkIn(entry.scope)
    )
    pool.entries.set(id, { ...entry, phase: "draining", grace })
  })

const undrain = (pool: Pool, entry: Living): Effect.Effect<void> =>
  Effect.gen(function*() {
    if (entry.grace !== undefined) yield* Fiber.interrupt(entry.grace)
    entry.pod.ref.unsafeTellReserved({ _tag: "Undrain" })
    pool.entries.set(entry.address.id, { ...entry, phase: "running", grace: undefined })
    yield* Effect.logInfo(`pod ${entry.address.id} is back before it had drained`)
  })

/** Stops a pod's actor without waiting for it. */
const stopPod = (pool: Pool, { address, scope }: Living, reason: string): Effect.Effect<void> => {
  pool.entries.set(address.id, { phase: "stopping", address, reason })
  return Scope.close(scope, Exit.void).pipe(
    Effect.zipRight(Effect.logInfo(`pod ${address.id} left: ${reason}`)),
    Effect.map(() => tellSelf(pool, { _tag: "PodStopped", id: address.id })),
    Effect.forkDaemon,
    Effect.asVoid
  )
}

const afterGivingUp = (pool: Pool, { id, pod, reason }: PodGaveUp): Effect.Effect<void> =>
  Effect.gen(function*() {
    const entry = pool.entries.get(id)
    if (!isLiving(entry) || entry.pod !== pod) return
    // At once, and before a new life of it joins.
    pod.leave()
    yield* Effect.forkDaemon(Scope.close(entry.scope, Exit.void))
    if (entry.phase === "draining") {
      pool.entries.delete(id)
      return yield* reconcile(pool)
    }
    yield* leaveOut(pool, entry.address, `its actor gave up: ${reason}`)
  })

/** Until it is due for a new actor. */
const leaveOut = (pool: Pool, address: PodAddress, reason: string): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { id } = address
    const entry: Gone = { phase: "down", address, reason }
    pool.entries.set(id, entry)
    yield* Effect.logError(`pod ${id} is out for ${secondsText(pool.options.podRetryMs)}: ${reason}`)
    yield* Effect.sleep(pool.options.podRetryMs).pipe(
      Effect.map(() => tellSelf(pool, { _tag: "PodRetryDue", entry })),
      Effect.forkIn(pool.scope)
    )
  })

const tellSelf = (pool: Pool, message: PoolMessage): void => {
  pool.self?.unsafeTellReserved(message)
}

const closeAll = (pool: Pool): Effect.Effect<void> =>
  Effect.forEach(
    [...pool.entries.values()].filter(isLiving),
    ({ scope }) => Scope.close(scope, Exit.void),
    { concurrency: "unbounded", discard: true }
  )

/** The answers come to the scheduler as any description of a pod. */
const askForModels = ({ entries }: Pool): void => {
  for (const entry of entries.values()) tellPod(entry, { _tag: "ModelsWanted" })
}

const tellPod = (entry: Entry | undefined, message: PodMessage): void => {
  if (isLiving(entry)) entry.pod.ref.unsafeTell(message)
}
