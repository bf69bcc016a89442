import type { Effect } from "effect"

export interface Message {
  readonly _tag: string
}

/** What an actor does. `receive` runs to completion, one message at a time; hot messages return a plain state. */
export interface Behavior<State, M extends Message, R = never> {
  /** A crash here is one of the budget; messages wait until it succeeds. */
  readonly init: Effect.Effect<State, never, R>
  /** A state must not itself be an Effect (an Option, Either or Exit is one): it would be run. */
  readonly receive: (state: State, message: M) => State | Effect.Effect<State, never, R>
  /** After a crash: from the last good state to the one to go on with. Default: the last good state as it is. */
  readonly recover?: (lastGood: State, cause: unknown) => Effect.Effect<State, never, R>
  /** On an ordered stop, after the mailbox was closed. Not run when the restart budget ended the actor. */
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
  /** How long an ordered stop waits for the message in hand and `stopped` before it interrupts them. Default 5 s. */
  readonly stopWithinMs?: number
}
