import { Effect } from "effect"
import { ActorCrashed, ActorStopped, MailboxFull } from "./errors.ts"
import { MessageRing } from "./MessageRing.ts"
import { PendingAsk, PendingAsks } from "./PendingAsk.ts"
import type { Timers } from "./Timers.ts"

/** After this many messages in one go the actor lets timers and sockets have their turn. */
const DRAIN_MAX = 256

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
  /** What the `receive` of the message in hand threw. */
  thrown: unknown = undefined
  private readonly ring: MessageRing<M>
  private readonly asks: PendingAsks
  private mailboxFull: MailboxFull
  private askInHand: PendingAsk | undefined = undefined
  private endReason = "it was told to stop"
  private resumeFiber: (() => void) | undefined = undefined

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
   * Handles waiting messages until none is left, DRAIN_MAX are done, one needs the fiber (its Effect is returned),
   * or one crashes. `state` is brought up to date in place.
   */
  drain<R>(
    receive: (state: State, message: M) => State | Effect.Effect<State, never, R>,
    state: { value: State }
  ): "idle" | "breathe" | "crashed" | Effect.Effect<State, never, R> {
    for (let count = 0; count < DRAIN_MAX; count++) {
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

  /** Waits for a message or for `close`. */
  readonly park: Effect.Effect<void> = Effect.async((resume) => {
    if (this.closed || this.ring.size > 0) resume(Effect.void)
    else this.resumeFiber = () => resume(Effect.void)
  })

  private wake(): void {
    const resume = this.resumeFiber
    if (resume === undefined) return
    this.resumeFiber = undefined
    resume()
  }

  private stoppedError(): ActorStopped {
    return new ActorStopped({ actor: this.name, reason: this.endReason })
  }
}

const fullError = (actor: string, capacity: number): MailboxFull => new MailboxFull({ actor, capacity })
