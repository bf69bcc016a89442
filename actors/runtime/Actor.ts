import type { Effect, Scope } from "effect"
import type { ActorCrashed, ActorStopped, AskTimedOut, MailboxFull } from "./errors.ts"
import type { Reply } from "./Reply.ts"

export interface Message {
  readonly _tag: string
}

/** What an actor does. `receive` runs to completion, one message at a time; hot messages return a plain state. */
export interface Behavior<State, M extends Message, R = never> {
  readonly init: Effect.Effect<State, never, R>
  readonly receive: (state: State, message: M) => State | Effect.Effect<State, never, R>
  /** After a crash: from the last good state to the one to go on with. Default: the last good state as it is. */
  readonly recover?: (lastGood: State, cause: unknown) => Effect.Effect<State, never, R>
  /** On an ordered stop, after the mailbox was closed. */
  readonly stopped?: (state: State) => Effect.Effect<void, never, R>
}

export interface ActorOptions {
  readonly name: string
  /** Messages that may wait; one more is refused. */
  readonly mailboxCapacity: number
  /**
   * Room kept for messages that must not be refused because their number is bounded elsewhere
   * (releases: at most a few for each admitted request).
   */
  readonly reservedCapacity: number
  /** More crashes than this within the window end the actor. */
  readonly restartsMax: number
  readonly restartWindowMs: number
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
}

export interface ActorRef<M extends Message> {
  readonly name: string
  readonly tell: (message: M) => Effect.Effect<void, MailboxFull | ActorStopped>
  readonly ask: <A, E>(
    make: (reply: Reply<A, E>) => M,
    deadlineMs: number
  ) => Effect.Effect<A, E | MailboxFull | ActorCrashed | ActorStopped | AskTimedOut>
  /** For edges without a fiber. False: refused (full or stopped). */
  readonly unsafeTell: (message: M) => boolean
  /** As `unsafeTell`, into the reserved room. False only once the actor has stopped. */
  readonly unsafeTellReserved: (message: M) => boolean
  /** Rejects with E, MailboxFull, ActorCrashed, ActorStopped or AskTimedOut. No fiber is made. */
  readonly unsafeAsk: <A, E>(make: (reply: Reply<A, E>) => M, deadlineMs: number) => Promise<A>
  /** Messages waiting. */
  readonly depth: () => number
  /** Fails when the actor ends. */
  readonly join: Effect.Effect<never, ActorStopped>
}

/** Starts the actor in the scope; closing the scope stops it: mailbox closed, message in hand finished, waiting asks failed. */
export declare const spawn: <State, M extends Message, R>(
  behavior: Behavior<State, M, R>,
  options: ActorOptions
) => Effect.Effect<ActorRef<M>, never, R | Scope.Scope>
