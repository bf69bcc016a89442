import type { RequestFeatures } from "../RequestFeatures.ts"
import type { Placement, Refusal, Scheduler } from "../Scheduler.ts"
import { type Waiting, WaitingRoom, type WaitingRoomOptions, type WaitingTerms } from "./WaitingRoom.ts"

export interface AdmissionOptions extends WaitingRoomOptions {
  /** After this long a request waits no more for KV room or for others' cached prefixes, only for its turn. */
  readonly patienceS: number
}

/** DESIGN 5, but for the patience, which the simulator chose; count and bytes bound what a gateway may hold. */
export const admissionDefaults: AdmissionOptions = {
  requestsMax: 4096,
  bytesMax: 512 * 1024 * 1024,
  ageingPerS: 0.1,
  patienceS: 60
}

/**
 * Why a request that had to wait does not go on: no room to wait in or pushed out of it, its time is up, or trying it
 * failed by a defect.
 */
export type WaitRefusal = "queue-full" | "waited-too-long" | "broken"

/** Told once, how it goes on with a request that had to wait. */
export type Answer<Ticket> = (entry: Waiting<Ticket>, outcome: Placement | Refusal | WaitRefusal) => void

/** Of the requests in order, this many are tried whenever something may have made room, */
const HEAD_TRIES = 4
/** this many at most in one go, */
const TRIES_MAX = 16
/** out of this many that are looked at, */
const SCAN_MAX = 256
/** and those behind the head only so often. */
const RETRY_AFTER_S = 0.05
/** How often the deadlines are looked at. */
const SWEEP_EVERY_S = 0.05
/** Time over which the rate of departures is averaged. */
const RATE_OVER_S = 10

/**
 * Late binding in front of the scheduler: a request goes to a pod at once while some pod has room for it, else it waits
 * here, where it can still go anywhere, and not in the queue of a pod.
 * Call `settle` after each fact that may have made room, and now and then as time goes by.
 */
export class Admission<Ticket> {
  readonly room: WaitingRoom<Ticket>
  private readonly scheduler: Scheduler
  private readonly options: AdmissionOptions
  private readonly answer: Answer<Ticket>
  private readonly isGone: (ticket: Ticket) => boolean
  private readonly entries = new Map<RequestFeatures, Waiting<Ticket>>()
  private sweptS = Number.NEGATIVE_INFINITY
  /** Requests that left the room for a pod, decaying over RATE_OVER_S, and when that was true. */
  private departures = 0
  private departuresAtS = 0

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
    if (room.count === 0) {
      const outcome = scheduler.pick(request, excluded, nowS, "room")
      if (outcome !== "busy") return outcome
    }
    while (!room.hasRoomFor(terms.bytes)) {
      const victim = room.shedFirst()
      if (victim === undefined || victim.terms.priority >= terms.priority) return "queue-full"
      this.finish(victim, "queue-full")
    }
    const ownS = scheduler.leastPrefillS(request, excluded, nowS)
    if (typeof ownS === "string") return ownS
    const isFirst = room.count === 0
    const key = room.keyOf(ownS, nowS)
    const nextTryS = isFirst ? nowS + RETRY_AFTER_S : nowS
    const entry = { ticket, request, excluded, terms, arrivedS: nowS, ownS, key, nextTryS }
    this.entries.set(request, entry)
    room.enter(entry)
    if (!isFirst) this.settle(nowS)
    return "waiting"
  }

  /** The client left. False: the request does not wait (any more). */
  cancel(request: RequestFeatures): boolean {
    const entry = this.entries.get(request)
    if (entry === undefined) return false
    this.entries.delete(request)
    this.room.leave(entry, false)
    return true
  }

  /** Sends off who has room now, and ends the waiting of those whose time is up. */
  settle(nowS: number): void {
    const { room } = this
    if (room.count === 0) return
    if (nowS - this.sweptS >= SWEEP_EVERY_S) this.sweep(nowS)
    room.startScan()
    let tries = 0
    for (let seen = 0; seen < SCAN_MAX && tries < TRIES_MAX; seen++) {
      const entry = room.next()
      if (entry === undefined) return
      if (seen >= HEAD_TRIES && entry.nextTryS > nowS) continue
      tries++
      this.tryToPlace(entry, nowS)
    }
  }

  /** When room may be expected for one more, at the pace of late; at least a second. */
  retryAfterS(nowS: number): number {
    const perS = this.departuresAt(nowS) / RATE_OVER_S
    return Math.min(RETRY_AFTER_MAX_S, Math.max(1, Math.ceil(this.room.count / Math.max(perS, 1 / RETRY_AFTER_MAX_S))))
  }

  private tryToPlace(entry: Waiting<Ticket>, nowS: number): void {
    if (this.isGone(entry.ticket)) return void this.cancel(entry.request)
    const isPatient = nowS - entry.arrivedS < this.options.patienceS
    let outcome: Placement | Refusal | "busy"
    try {
      outcome = this.scheduler.pick(entry.request, entry.excluded, nowS, isPatient ? "room" : "turn")
    } catch (cause) {
      // Or it would break the scheduler again and again.
      this.finish(entry, "broken")
      throw cause
    }
    if (outcome === "busy") {
      entry.nextTryS = nowS + RETRY_AFTER_S
      return
    }
    if (typeof outcome !== "string") {
      this.departures = this.departuresAt(nowS) + 1
      this.departuresAtS = nowS
    }
    this.finish(entry, outcome)
  }

  private departuresAt(nowS: number): number {
    return this.departures * Math.exp((this.departuresAtS - nowS) / RATE_OVER_S)
  }

  private sweep(nowS: number): void {
    this.sweptS = nowS
    const done = [...this.room].filter(({ terms, ticket }) => terms.deadlineS <= nowS || this.isGone(ticket))
    for (const entry of done) {
      if (this.isGone(entry.ticket)) this.cancel(entry.request)
      else this.finish(entry, "waited-too-long")
    }
  }

  private finish(entry: Waiting<Ticket>, outcome: Placement | Refusal | WaitRefusal): void {
    this.entries.delete(entry.request)
    this.room.leave(entry, typeof outcome !== "string")
    this.answer(entry, outcome)
  }
}

const stays = (): boolean => false

/** A client is never told to stay away longer. */
const RETRY_AFTER_MAX_S = 60
