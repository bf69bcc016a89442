import type { PodId } from "../Pod.ts"
import type { RequestFeatures } from "../RequestFeatures.ts"
import type { Placement, Refusal } from "../Placement.ts"
import type { Scheduler } from "../Scheduler.ts"
import type { AdmissionOptions, WaitRefusal } from "./AdmissionOptions.ts"
import { Hurry } from "./Hurry.ts"
import { Paces } from "./Paces.ts"
import { Podless } from "./Podless.ts"
import { TryBudget } from "./TryBudget.ts"
import { type Waiting, waitingOf, type WaitingTerms } from "./Waiting.ts"
import { whyWait } from "./whyWait.ts"
import { WaitingRoom } from "./WaitingRoom.ts"

/** Told once, how it goes on with a request that had to wait. When it throws, a placement counts as never made. */
export type Answer<Ticket> = (entry: Waiting<Ticket>, outcome: Placement | Refusal | WaitRefusal) => void

/** Of the requests in order, this many are tried whenever something may have made room, */
const HEAD_TRIES = 4
/** this many at most in one go without success, */
const TRIES_MAX = 16
/** out of this many that are looked at, */
const SCAN_MAX = 256
/** and those behind the head only so often. */
const RETRY_AFTER_S = 0.05
/** How often the deadlines are looked at. */
const SWEEP_EVERY_S = 0.05

/**
 * Late binding in front of the scheduler: a request goes to a pod at once while some pod has room for it, else it waits
 * here, where it can still go anywhere, and not in the queue of a pod.
 * Call `settle` after each fact that may have made room, and now and then as time goes by. One file, since each way in
 * and out of the line must leave room, index and paces in step.
 */
export class Admission<Ticket> {
  readonly room: WaitingRoom<Ticket>
  private readonly scheduler: Scheduler
  private options: AdmissionOptions
  private readonly answer: Answer<Ticket>
  private readonly isGone: (ticket: Ticket) => boolean
  private readonly podless: Podless<Ticket>
  private readonly entries = new Map<RequestFeatures, Waiting<Ticket>>()
  private readonly paces = new Paces()
  private readonly hurry: Hurry
  private sweptS = Number.NEGATIVE_INFINITY
  /** Nobody behind the head is worth a try before this. */
  private restDueS = Number.POSITIVE_INFINITY
  private readonly tries = new TryBudget()

  /** `isGone`: nobody waits for the answer any more, so the request must not be placed. */
  constructor(
    scheduler: Scheduler,
    options: AdmissionOptions,
    answer: Answer<Ticket>,
    isGone: (ticket: Ticket) => boolean = stays
  ) {
    this.scheduler = scheduler
    this.options = options
    this.answer = answer
    this.isGone = isGone
    this.room = new WaitingRoom(options)
    this.podless = new Podless(scheduler, this.room, options.podlessS)
    this.hurry = new Hurry(options, this.paces)
  }

  /** From now on; those that wait stay, beyond a smaller bound too. */
  replaceOptions(options: AdmissionOptions): void {
    this.options = options
    this.room.options = options
    this.podless.podlessS = options.podlessS
    this.hurry.options = options
  }

  /**
   * Places the request, refuses it, or lets it wait; then `answer` hears of it once, perhaps before this returns.
   * The features are its name: the same object must not wait twice at a time.
   */
  submit(
    request: RequestFeatures,
    excluded: ReadonlyArray<string>,
    terms: WaitingTerms,
    ticket: Ticket,
    nowS: number
  ): Placement | Refusal | WaitRefusal | "waiting" {
    const { room, scheduler } = this
    if (room.podlessCount > 0) this.lookForPods(nowS)
    this.hurry.heard(terms.priority, nowS)
    const isFirst = room.count === room.podlessCount
    if (isFirst) {
      const waitFor = this.hurry.waitForAtOnce(terms.priority, excluded.length > 0, nowS)
      const outcome = scheduler.pick(request, excluded, nowS, waitFor, this.hurry.queueMaxS(terms.priority, nowS))
      if (outcome === "no-pod") return this.waitForPod(waitingOf(request, excluded, terms, ticket, nowS))
      if (outcome !== "busy") return outcome
    }
    const ownS = scheduler.leastPrefillS(request, excluded, nowS, isFirst)
    if (ownS === "no-pod") return this.waitForPod(waitingOf(request, excluded, terms, ticket, nowS))
    if (typeof ownS === "string") return ownS
    this.passTime(nowS)
    const entry = waitingOf(request, excluded, terms, ticket, nowS)
    entry.ownS = ownS
    entry.nextTryS = nowS + RETRY_AFTER_S
    if (!entry.returns) entry.key = room.keyOf(ownS, nowS)
    this.paces.asked(terms.priority, ownS)
    if (terms.deadlineS - nowS <= 0) return "waited-too-long"
    entry.deadlineS = this.hurry.deadlineS(entry)
    if (this.expectedWaitS(entry) > entry.deadlineS - nowS) return "queue-too-long"
    if (!this.makeRoom(terms, false)) return "queue-full"
    this.entries.set(request, entry)
    room.enter(entry)
    this.restDueS = Math.min(this.restDueS, entry.nextTryS)
    if (!isFirst) this.settleWith(entry, nowS)
    return "waiting"
  }

  /**
   * Lets a request that was just refused for its unknown model wait out of line, where there is room: pods are asked for
   * their models, and the answers come before `untilS` or too late for it.
   */
  waitForModel(
    request: RequestFeatures,
    excluded: ReadonlyArray<string>,
    terms: WaitingTerms,
    ticket: Ticket,
    untilS: number,
    nowS: number
  ): "unknown-model" | "waiting" {
    if (this.options.podlessS === 0 || !this.room.hasRoomFor(terms)) return "unknown-model"
    const entry = waitingOf(request, excluded, terms, ticket, nowS)
    entry.modelUntilS = untilS
    this.setApart(entry)
    return "waiting"
  }

  /** Whether a request would wait if it came now, in words; undefined: it would not. Changes nothing. */
  whyWait(request: RequestFeatures, terms: WaitingTerms, nowS: number): string | undefined {
    return whyWait(this.scheduler, this.room, this.hurry, this.options.podlessS, request, terms.priority, nowS)
  }

  /** The client left. False: the request does not wait (any more). */
  cancel(request: RequestFeatures): boolean {
    const entry = this.entries.get(request)
    if (entry === undefined) return false
    this.finish(entry, "client-left")
    return true
  }

  /** A pod may take requests that it did not take before. `id`: what came back, or runs anew; others told more of them. */
  podCame(id: PodId | undefined, nowS: number): void {
    if (this.room.count === 0) return
    if (id !== undefined) this.podless.forgive(id)
    this.settle(nowS)
  }

  /** Sends off who has room now, and ends the waiting of those whose time is up. */
  settle(nowS: number): void {
    const { room } = this
    if (room.count === 0) return
    this.passTime(nowS)
    if (nowS - this.sweptS >= SWEEP_EVERY_S) this.sweep(nowS)
    if (room.podlessCount > 0) this.lookForPods(nowS)
    if (room.count === room.podlessCount || !this.mayHaveRoom(nowS)) return
    const looksAtAll = nowS >= this.restDueS
    const seenMax = looksAtAll ? SCAN_MAX : HEAD_TRIES
    let dueS = Number.POSITIVE_INFINITY
    let tries = 0
    room.startScan()
    for (let seen = 0; seen < seenMax;) {
      if (tries >= TRIES_MAX || this.tries.isSpent) {
        dueS = nowS
        break
      }
      const entry = room.next()
      if (entry === undefined) break
      const isTried = seen < HEAD_TRIES || entry.nextTryS <= nowS
      // Who goes leaves the head to the next in order, or a newcomer would go before it.
      if (isTried && this.tryToPlace(entry, nowS)) continue
      if (isTried) tries++
      seen++
      dueS = Math.min(dueS, entry.nextTryS)
    }
    if (looksAtAll) this.restDueS = room.count === 0 ? Number.POSITIVE_INFINITY : Math.min(dueS, nowS + RETRY_AFTER_S)
  }

  /** When room may be expected for one more, at the pace of late; at least a second. */
  retryAfterS(): number {
    return this.paces.retryAfterS(this.room.count - this.room.podlessCount)
  }

  /** It waits out of line, or is refused when that is in vain. */
  private waitForPod(entry: Waiting<Ticket>): "waiting" | "no-pod" {
    if (!this.podless.mayWait(entry, entry.arrivedS) || !this.makeRoom(entry.terms, true)) return "no-pod"
    this.setApart(entry)
    return "waiting"
  }

  private setApart(entry: Waiting<Ticket>): void {
    this.passTime(entry.arrivedS)
    this.entries.set(entry.request, entry)
    entry.podlessSinceS = entry.arrivedS
    this.room.enter(entry)
  }

  private lookForPods(nowS: number): void {
    for (const [entry, refusal] of this.podless.look(nowS)) this.finish(entry, refusal)
    if (this.room.count > this.room.podlessCount) this.restDueS = Math.min(this.restDueS, nowS)
  }

  private mayHaveRoom(nowS: number): boolean {
    return this.scheduler.mayHaveRoom(nowS, this.options.bandQueueMaxS)
  }

  /**
   * How long a request of this key would wait by the order and the pace of its band as they are; 0 while that pace is
   * not known or nothing is ahead of it.
   */
  private expectedWaitS({ key, returns, terms }: Waiting<Ticket>): number {
    const aheadS = this.room.workAheadS(terms, key, returns)
    return aheadS === 0 ? 0 : this.paces.forS(terms.priority, aheadS)
  }

  /** Gives up others where that makes room. False: it has none. */
  private makeRoom(terms: WaitingTerms, isPodless: boolean): boolean {
    const { room } = this
    if (!room.hasRoomFor(terms) && !room.couldMakeRoomFor(terms, isPodless)) return false
    while (!room.hasRoomFor(terms)) {
      const victim = room.giveUpFirst(terms, isPodless)
      if (victim === undefined) return false
      this.finish(victim, victim.podlessSinceS === undefined ? "queue-full" : "no-pod")
    }
    return true
  }

  /** The first in order come before a newcomer; then it has its own try. */
  private settleWith(entry: Waiting<Ticket>, nowS: number): void {
    try {
      this.settle(nowS)
      const isInLine = this.entries.get(entry.request) === entry && entry.podlessSinceS === undefined
      if (isInLine && !this.tries.isSpent && this.mayHaveRoom(nowS)) this.tryToPlace(entry, nowS)
    } catch (cause) {
      // Whoever asked hears of the crash and does not wait for this request any more.
      this.forget(entry, false)
      throw cause
    }
  }

  /** False: it waits on where it is. */
  private tryToPlace(entry: Waiting<Ticket>, nowS: number): boolean {
    if (this.isGone(entry.ticket)) return this.cancel(entry.request)
    const { excluded, request, terms } = entry
    let outcome: Placement | Refusal | "busy"
    try {
      outcome = this.scheduler.pick(
        request,
        excluded,
        nowS,
        this.hurry.waitFor(entry, nowS),
        this.hurry.queueMaxS(terms.priority, nowS)
      )
    } catch (cause) {
      // Or it would break the scheduler again and again.
      this.finish(entry, "broken")
      throw cause
    }
    if (outcome === "busy") {
      this.tries.spend()
      entry.nextTryS = nowS + RETRY_AFTER_S
      return false
    }
    if (outcome === "no-pod" && this.podless.mayWait(entry, nowS)) {
      this.tries.spend()
      this.podless.stepOut(entry, nowS)
      return true
    }
    if (typeof outcome === "string") this.finish(entry, outcome)
    else this.sendOff(entry, outcome, nowS)
    return true
  }

  private passTime(nowS: number): void {
    this.tries.pass(nowS)
    this.paces.pass(nowS, this.room, this.options.overloadAfterS)
  }

  private sweep(nowS: number): void {
    this.sweptS = nowS
    const done: Array<Waiting<Ticket>> = []
    for (const entry of this.room) {
      const endsS = entry.podlessSinceS === undefined ? entry.deadlineS : this.podless.endsS(entry)
      if (endsS <= nowS || this.isGone(entry.ticket)) done.push(entry)
    }
    for (const entry of done) this.finish(entry, this.lateRefusal(entry, nowS))
  }

  private lateRefusal(entry: Waiting<Ticket>, nowS: number): Refusal | WaitRefusal {
    if (this.isGone(entry.ticket)) return "client-left"
    return entry.podlessSinceS === undefined ? "waited-too-long" : this.podless.lateRefusal(entry, nowS)
  }

  private sendOff(entry: Waiting<Ticket>, placement: Placement, nowS: number): void {
    this.paces.sentOff(entry.terms.priority, entry.ownS)
    this.forget(entry, true)
    try {
      this.answer(entry, placement)
    } catch (cause) {
      // Nobody heard of it, so nobody would give it back.
      this.scheduler.end(placement.reservation, {}, nowS)
      throw cause
    }
  }

  private finish(entry: Waiting<Ticket>, refusal: Refusal | WaitRefusal): void {
    this.forget(entry, false)
    this.answer(entry, refusal)
  }

  private forget(entry: Waiting<Ticket>, sentOff: boolean): void {
    if (this.entries.get(entry.request) === entry) this.entries.delete(entry.request)
    this.room.leave(entry, sentOff)
  }
}

const stays = (): boolean => false
