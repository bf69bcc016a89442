import { Deferred, Effect, Fiber, Option, type Scope } from "effect"
import { ActorCore } from "./ActorCore.ts"
import { actorLife } from "./actorLife.ts"
import type { ActorOptions, Behavior, Message } from "./Behavior.ts"
import type { ActorCrashed, ActorStopped, AskTimedOut, MailboxFull } from "./errors.ts"
import type { Reply } from "./Reply.ts"
import { ActorTimers } from "./Timers.ts"

const STOP_WITHIN_MS = 5000

export interface ActorRef<M extends Message> {
  readonly name: string
  readonly tell: (message: M) => Effect.Effect<void, MailboxFull | ActorStopped>
  /** The deadline is noticed up to ASK_SWEEP_MS late. A message whose asker has gone is skipped, not received. */
  readonly ask: <A, E>(
    make: (reply: Reply<A, E>) => M,
    deadlineMs: number
  ) => Effect.Effect<A, E | MailboxFull | ActorCrashed | ActorStopped | AskTimedOut>
  /** For edges without a fiber. False: refused (full or stopped). */
  readonly unsafeTell: (message: M) => boolean
  /** As `unsafeTell`, into the reserved room. False once the actor has stopped, or on an overflow. */
  readonly unsafeTellReserved: (message: M) => boolean
  /** As `ask`. Rejects with E, MailboxFull, ActorCrashed, ActorStopped or AskTimedOut. No fiber is made. */
  readonly unsafeAsk: <A, E>(make: (reply: Reply<A, E>) => M, deadlineMs: number) => Promise<A>
  /** Other room in the mailbox from now on, ordinary and reserved; what waits stays, beyond smaller bounds too. */
  readonly resize: (mailboxCapacity: number, reservedCapacity: number) => void
  /** Messages waiting. */
  readonly depth: () => number
  /** Messages lost because the reserved room was too small: a defect of whoever sized it, logged as an error. */
  readonly reservedOverflows: () => number
  /** Fails when the actor ends. */
  readonly join: Effect.Effect<never, ActorStopped>
}

/** Starts the actor in the scope; closing the scope stops it: mailbox closed, message in hand finished, waiting asks failed. */
export const spawn = <State, M extends Message, R>(
  behavior: Behavior<State, M, R>,
  options: ActorOptions
): Effect.Effect<ActorRef<M>, never, R | Scope.Scope> =>
  Effect.gen(function*() {
    const timers = yield* ActorTimers
    const core = new ActorCore<State, M>(options, timers)
    const closing = yield* Deferred.make<void>()
    const ended = yield* Deferred.make<never, ActorStopped>()
    const life = actorLife(behavior, options, core, Deferred.await(closing), timers).pipe(
      Effect.flatMap((reason) => Deferred.fail(ended, core.end(reason))),
      Effect.annotateLogs("actor", options.name)
    )
    yield* Effect.acquireRelease(
      Effect.forkDaemon(Effect.uninterruptible(life)),
      (fiber) => stop(fiber, options, core, closing)
    )
    return makeRef(core, Deferred.await(ended))
  })

const stop = <State, M extends Message>(
  fiber: Fiber.RuntimeFiber<unknown>,
  options: ActorOptions,
  core: ActorCore<State, M>,
  closing: Deferred.Deferred<void>
): Effect.Effect<void> =>
  Effect.gen(function*() {
    core.close()
    yield* Deferred.succeed(closing, undefined)
    const stopWithinMs = options.stopWithinMs ?? STOP_WITHIN_MS
    const inTime = yield* Effect.timeoutOption(Effect.interruptible(Fiber.await(fiber)), stopWithinMs)
    if (Option.isSome(inTime)) return
    yield* Effect.logWarning(`actor ${options.name} did not stop within ${stopWithinMs} ms; its work is interrupted`)
    yield* Fiber.interrupt(fiber)
  })

const makeRef = <State, M extends Message>(
  core: ActorCore<State, M>,
  join: Effect.Effect<never, ActorStopped>
): ActorRef<M> => ({
  name: core.name,
  tell: (message) =>
    Effect.suspend(() => {
      const refused = core.tell(message)
      return refused === undefined ? Effect.void : Effect.fail(refused)
    }),
  ask: <A, E>(make: (reply: Reply<A, E>) => M, deadlineMs: number) =>
    Effect.async<A, E | MailboxFull | ActorCrashed | ActorStopped | AskTimedOut>((resume) => {
      const ask = core.ask(
        make,
        deadlineMs,
        (value) => resume(Effect.succeed(value as A)),
        (error) => resume(Effect.fail(error as E))
      )
      return Effect.sync(() => ask?.abandon())
    }),
  unsafeTell: (message) => core.tell(message) === undefined,
  unsafeTellReserved: (message) => core.tellReserved(message),
  unsafeAsk: <A, E>(make: (reply: Reply<A, E>) => M, deadlineMs: number) =>
    new Promise<A>((resolve, reject) => {
      core.ask(make, deadlineMs, resolve as (value: unknown) => void, reject)
    }),
  resize: (mailboxCapacity, reservedCapacity) => core.resize(mailboxCapacity, reservedCapacity),
  depth: () => core.depth,
  reservedOverflows: () => core.reservedOverflows,
  join
})
