import { AskTimedOut } from "./errors.ts"
import type { Reply } from "./Reply.ts"
import type { Timers } from "./Timers.ts"

/** Unanswered asks look at their deadlines this often, so an ask may end up to this much late, never early. */
const ASK_SWEEP_MS = 20

/** An ask without its answer yet; the envelope of its message in the mailbox and the actor's handle to answer it. */
export class PendingAsk implements Reply<unknown, unknown> {
  readonly deadlineMs: number
  /** On the clock of the actor's timers. */
  readonly deadlineAtMs: number
  previous: PendingAsk | undefined = undefined
  next: PendingAsk | undefined = undefined
  private state: "open" | "answered" | "abandoned" = "open"
  private readonly asks: PendingAsks
  private readonly onSuccess: (value: unknown) => void
  private readonly onFailure: (error: unknown) => void

  constructor(
    asks: PendingAsks,
    deadlineMs: number,
    onSuccess: (value: unknown) => void,
    onFailure: (error: unknown) => void
  ) {
    this.asks = asks
    this.deadlineMs = deadlineMs
    this.deadlineAtMs = asks.timers.nowMs() + deadlineMs
    this.onSuccess = onSuccess
    this.onFailure = onFailure
  }

  succeed(value: unknown): void {
    if (this.close("answered")) this.onSuccess(value)
  }

  fail(error: unknown): void {
    if (this.close("answered")) this.onFailure(error)
  }

  abandoned(): boolean {
    return this.state === "abandoned"
  }

  /** The asker no longer waits; nobody is told. */
  abandon(): void {
    this.close("abandoned")
  }

  expire(error: unknown): void {
    if (this.close("abandoned")) this.onFailure(error)
  }

  private close(state: "answered" | "abandoned"): boolean {
    if (this.state !== "open") return false
    this.state = state
    this.asks.remove(this)
    return true
  }
}

/**
 * All unanswered asks of one actor, in the mailbox or kept by the actor for later, as a linked list.
 * One timer serves them all and runs only while there are some: a timer an ask would cost more than the ask.
 */
export class PendingAsks {
  readonly timers: Timers
  private readonly actor: string
  private first: PendingAsk | undefined = undefined
  private timer: unknown = undefined
  /** No ask is due before this. */
  private dueAtMs = Number.POSITIVE_INFINITY

  constructor(actor: string, timers: Timers) {
    this.actor = actor
    this.timers = timers
  }

  add(ask: PendingAsk): void {
    ask.next = this.first
    if (this.first !== undefined) this.first.previous = ask
    this.first = ask
    if (ask.deadlineAtMs < this.dueAtMs) this.dueAtMs = ask.deadlineAtMs
    if (this.timer === undefined) this.timer = this.timers.start(this.sweep, ASK_SWEEP_MS)
  }

  remove(ask: PendingAsk): void {
    if (ask.previous !== undefined) ask.previous.next = ask.next
    else if (this.first === ask) this.first = ask.next
    if (ask.next !== undefined) ask.next.previous = ask.previous
    ask.previous = undefined
    ask.next = undefined
  }

  failAll(error: unknown): void {
    for (let ask = this.first; ask !== undefined; ask = this.first) ask.fail(error)
    this.timers.stop(this.timer)
    this.timer = undefined
  }

  private readonly sweep = (): void => {
    this.timer = this.first === undefined ? undefined : this.timers.start(this.sweep, ASK_SWEEP_MS)
    const nowMs = this.timers.nowMs()
    if (nowMs < this.dueAtMs) return
    this.dueAtMs = Number.POSITIVE_INFINITY
    let ask = this.first
    while (ask !== undefined) {
      const next = ask.next
      if (ask.deadlineAtMs <= nowMs) {
        ask.expire(new AskTimedOut({ actor: this.actor, deadlineMs: ask.deadlineMs }))
      } else if (ask.deadlineAtMs < this.dueAtMs) {
        this.dueAtMs = ask.deadlineAtMs
      }
      ask = next
    }
  }
}
