import type { RequestFeatures, WaitingWish } from "../RequestFeatures.ts"

/** How a request may wait: what it asked for, within what the operator allows. */
export interface WaitingTerms extends Pick<WaitingWish, "bytes" | "flow" | "priority"> {
  /** When the waiting ends without a pod, on the scheduler's clock. */
  readonly deadlineS: number
}

/** A request in the room. `Ticket` is whatever its owner knows it by. */
export interface Waiting<Ticket> {
  readonly ticket: Ticket
  readonly request: RequestFeatures
  readonly excluded: ReadonlyArray<string>
  readonly terms: WaitingTerms
  readonly arrivedS: number
  /** Prefill seconds on the pod where it would need least. */
  readonly ownS: number
  /** Its place in its flow, lowest first; see `WaitingRoom.keyOf`. */
  readonly key: number
  /** When it is worth another try, unless it is among the first. */
  nextTryS: number
}

export interface WaitingRoomOptions {
  readonly requestsMax: number
  readonly bytesMax: number
  /** Seconds of prefill that a second of waiting makes up for; positive, or small requests could starve a big one. */
  readonly ageingPerS: number
}

interface Flow<Ticket> {
  readonly name: string
  /** By key. */
  readonly waiting: Array<Waiting<Ticket>>
  /** Prefill seconds sent off for it, on the scale of its band: the flow with least goes next. */
  servedS: number
  /** How far the scan has come. */
  cursor: number
}

interface Band<Ticket> {
  readonly priority: number
  readonly flows: Map<string, Flow<Ticket>>
  /** What the flow that went last had got before: a flow that comes anew starts there, so idle time earns nothing. */
  servedS: number
}

/**
 * Requests that wait for room on a pod, bounded in count and bytes.
 * - Bands go strictly by priority; a lower one gets the room that no request of a higher one can use now.
 * - Inside a band the flow that got least prefill time goes first: start-time fair queueing, which is deficit round robin
 *   without its quantum.
 * - Inside a flow the smallest work goes first, aged: a request is overtaken only by those that came less than
 *   (its work - theirs) / `ageingPerS` seconds after it, so nobody starves (DESIGN 5).
 */
export class WaitingRoom<Ticket> {
  count = 0
  bytes = 0
  private readonly options: WaitingRoomOptions
  /** Highest priority first. */
  private readonly bands: Array<Band<Ticket>> = []

  constructor(options: WaitingRoomOptions) {
    this.options = options
  }

  /** The key of a request that came then and needs that much prefill. */
  keyOf(ownS: number, arrivedS: number): number {
    return ownS + this.options.ageingPerS * arrivedS
  }

  hasRoomFor(bytes: number): boolean {
    return this.count < this.options.requestsMax && this.bytes + bytes <= this.options.bytesMax
  }

  enter(entry: Waiting<Ticket>): void {
    const { flow: name, priority } = entry.terms
    const band = this.bandOf(priority)
    let flow = band.flows.get(name)
    if (flow === undefined) {
      flow = { name, waiting: [], servedS: band.servedS, cursor: 0 }
      band.flows.set(name, flow)
    }
    const at = placeOf(flow.waiting, entry.key)
    flow.waiting.splice(at, 0, entry)
    if (at < flow.cursor) flow.cursor++
    this.count++
    this.bytes += entry.terms.bytes
  }

  /** Takes a request out; `sentOff` counts its work for its flow. Taking it twice is harmless. */
  leave(entry: Waiting<Ticket>, sentOff: boolean): void {
    const band = this.bands.find(({ priority }) => priority === entry.terms.priority)
    const flow = band?.flows.get(entry.terms.flow)
    const at = flow?.waiting.indexOf(entry) ?? -1
    if (band === undefined || flow === undefined || at < 0) return
    flow.waiting.splice(at, 1)
    if (at < flow.cursor) flow.cursor--
    this.count--
    this.bytes -= entry.terms.bytes
    if (sentOff) {
      band.servedS = Math.max(band.servedS, flow.servedS)
      flow.servedS += entry.ownS
    }
    if (flow.waiting.length > 0) return
    band.flows.delete(flow.name)
    if (band.flows.size === 0) this.bands.splice(this.bands.indexOf(band), 1)
  }

  /** Whom to give up first when room is short: of the lowest band, if it may be shed, the last in order. */
  shedFirst(): Waiting<Ticket> | undefined {
    const band = this.bands.at(-1)
    if (band === undefined || band.priority >= 0) return undefined
    let last: Waiting<Ticket> | undefined
    for (const { waiting } of band.flows.values()) {
      const entry = waiting.at(-1)
      if (entry !== undefined && (last === undefined || entry.key > last.key)) last = entry
    }
    return last
  }

  /** `next` begins with the first in order again. */
  startScan(): void {
    for (const { flows } of this.bands) {
      for (const flow of flows.values()) flow.cursor = 0
    }
  }

  /** The next in order since `startScan`, or undefined. Entries may come and go between two calls. */
  next(): Waiting<Ticket> | undefined {
    for (const { flows } of this.bands) {
      let least: Flow<Ticket> | undefined
      for (const flow of flows.values()) {
        if (flow.cursor < flow.waiting.length && (least === undefined || flow.servedS < least.servedS)) least = flow
      }
      if (least !== undefined) return least.waiting[least.cursor++]
    }
    return undefined
  }

  *[Symbol.iterator](): Generator<Waiting<Ticket>> {
    for (const { flows } of this.bands) {
      for (const { waiting } of flows.values()) yield* waiting
    }
  }

  private bandOf(priority: number): Band<Ticket> {
    const at = this.bands.findIndex((band) => band.priority <= priority)
    const found = at < 0 ? undefined : this.bands[at]
    if (found?.priority === priority) return found
    const band: Band<Ticket> = { priority, flows: new Map(), servedS: 0 }
    this.bands.splice(at < 0 ? this.bands.length : at, 0, band)
    return band
  }
}

/** Where a key belongs: behind its equals. */
const placeOf = (waiting: ReadonlyArray<{ readonly key: number }>, key: number): number => {
  let low = 0
  let high = waiting.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((waiting[middle]?.key ?? 0) <= key) low = middle + 1
    else high = middle
  }
  return low
}
