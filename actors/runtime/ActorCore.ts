import { Effect } from "effect"
import { ActorCrashed, ActorStopped, MailboxFull } from "./errors.ts"
import { MessageRing } from "./MessageRing.ts"
import { PendingAsk, PendingAsks } from "./PendingAsk.ts"
import type { Timers } from "./Timers.ts"

/** After every so many messages the actor lets timers and sockets have their turn, whoever keeps it busy. */
const DRAIN_MAX = 256

/** breathe: others are to have their turn. crashed: see `thrown`. An Effect: to be run for the message in hand. */
export type Turn<State, R> = "idle" | "breathe" | "crashed" | Effect.Effect<State, never, R>

interface MailboxLimits {
  readonly name: string
  readonly mailboxCapacity: number
  readonly reservedCapacity: number
}

/**
 * What an actor is without its fiber: the mailbox, the unanswered asks and the message in hand.
 * It outlives crashes, so that a crash in mid-batch loses nothing that still waits.
 */
export class ActorCore<State, M> {
  readonly name: string
  closed = false
  reservedOverflows = 0
  /** Of those, the ones that the fiber has told about. */
  overflowsLogged = 0
  /** What the `receive` of the message in hand threw. */
  thrown: unknown = undefined
  private readonly ring: MessageRing<M>
  private readonly asks: PendingAsks
  private mailboxFull: MailboxFull
  private askInHand: PendingAsk | undefined = undefined
  private endReason = "it was told to stop"
  private resumeWork: (() => void) | undefined = undefined
  /** Messages since others had their turn. */
  private handled = 0

  constructor(limits: MailboxLimits, timers: Timers) {
    this.name = limits.name
    this.ring = new MessageRing(limits.mailboxCapacity, limits.reservedCapacity)
    this.asks = new PendingAsks(limits.name, timers)
    // One error for every refusal: refusing must stay cheap when there is too much to do.
    this.mailboxFull = fullError(limits.name, limits.mailboxCapacity)
  }

  resize(mailboxCapacity: number, reservedCapacity: number): void {
    this.ring.resize(mailboxCapacity, reservedCapacity)
    this.mailboxFull = fullError(this.name, mailboxCapacity)
  }

  get depth(): number {
    return this.ring.size
  }

  /** Why the message was refused; undefined when it waits now. */
  tell(message: M): MailboxFull | ActorStopped | undefined {
    if (this.closed) return this.stoppedError()
    if (!this.ring.offer(message, undefined)) return this.mailboxFull
    this.wake()
    return undefined
  }

  /** False when the actor has stopped or the reserved room was sized too small, which is counted. */
  tellReserved(message: M): boolean {
    if (this.closed) return false
    if (!this.ring.offerReserved(message)) {
      this.reservedOverflows++
      return false
    }
    this.wake()
    return true
  }

  /** The ask now under way; undefined when it was refused, which `onFailure` has been told. */
  ask(
    make: (reply: PendingAsk) => M,
    deadlineMs: number,
    onSuccess: (value: unknown) => void,
    onFailure: (error: unknown) => void
  ): PendingAsk | undefined {
    if (this.closed || this.ring.full) {
      onFailure(this.closed ? this.stoppedError() : this.mailboxFull)
      return undefined
    }
    const ask = new PendingAsk(this.asks, deadlineMs, onSuccess, onFailure)
    this.ring.offer(make(ask), ask)
    this.asks.add(ask)
    this.wake()
    return ask
  }

  /**
   * Handles messages as they come, `state` brought up to date in place, until the fiber has something to do; "idle": only
   * to tell of lost messages or that the actor was closed. It goes on by itself where no fiber is needed: to wake one
   * costs more than most messages do.
   */
  serve<R>(
    receive: (state: State, message: M) => State | Effect.Effect<State, never, R>,
    state: { value: State }
  ): Effect.Effect<Turn<State, R>> {
    return Effect.async((resume) => {
      const work = (): void => {
        const turn = this.drain(receive, state)
        const rests = turn === "idle" && !this.closed && this.reservedOverflows === this.overflowsLogged
        if (rests) this.resumeWork = () => queueMicrotask(work)
        else resume(Effect.succeed(turn))
      }
      work()
    })
  }

  /** Handles waiting messages until none is left, DRAIN_MAX are done, one needs the fiber, or one crashes. */
  private drain<R>(
    receive: (state: State, message: M) => State | Effect.Effect<State, never, R>,
    state: { value: State }
  ): Turn<State, R> {
    for (; this.handled < DRAIN_MAX; this.handled++) {
      const message = this.closed ? undefined : this.ring.take()
      if (message === undefined) return "idle"
      const ask = this.ring.takenAsk
      if (ask?.abandoned() === true) continue
      this.askInHand = ask
      try {
        const next = receive(state.value, message)
        if (Effect.isEffect(next)) return next as Effect.Effect<State, never, R>
        state.value = next
      } catch (cause) {
        this.thrown = cause
        return "crashed"
      }
    }
    this.handled = 0
    return "breathe"
  }

  failInHand(cause: unknown): void {
    this.askInHand?.fail(new ActorCrashed({ actor: this.name, cause }))
  }

  /** Fails the asks that wait in the mailbox and throws the messages away. */
  failWaiting(): void {
    while (this.ring.take() !== undefined) this.ring.takenAsk?.fail(this.stoppedError())
  }

  close(): void {
    this.closed = true
    this.wake()
  }

  /** Nothing is answered any more, not even what the actor had kept for later. */
  end(reason: string): ActorStopped {
    this.closed = true
    this.endReason = reason
    this.failWaiting()
    const error = this.stoppedError()
    this.asks.failAll(error)
    return error
  }

  private wake(): void {
    const resume = this.resumeWork
    if (resume === undefined) return
    this.resumeWork = undefined
    resume()
  }

  private stoppedError(): ActorStopped {
    return new ActorStopped({ actor: this.name, reason: this.endReason })
  }
}

const fullError = (actor: string, capacity: number): MailboxFull => new MailboxFull({ actor, capacity })
