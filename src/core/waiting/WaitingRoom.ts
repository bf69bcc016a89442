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
  /** Requests of a band that may wait, where that is less than `requestsMax`. */
  readonly bandRequestsMax?: ReadonlyMap<number, number> | undefined
  /** Seconds of prefill that a second of waiting makes up for; positive, or small requests could starve a big one. */
  readonly ageingPerS: number
}

interface Flow<Ticket> {
  readonly name: string
  /** By key. */
  readonly waiting: Array<Waiting<Ticket>>
  /** Prefill seconds of those. */
  workS: number
  /** Prefill seconds sent off for it, on the scale of its band: the flow with least goes next. */
  servedS: number
  /** How far the scan of that number has come, and the prefill seconds of those that it passed. */
  cursor: number
  passedS: number
  scan: number
}

interface Band<Ticket> {
  readonly priority: number
  /** Those with somebody waiting. */
  readonly flows: Map<string, Flow<Ticket>>
  /** `servedS` of flows that have nobody waiting now but got more than their part, so that coming back earns nothing. */
  readonly rested: Map<string, number>
  /** What the flow that went last had got before: a flow that comes anew starts there, so idle time earns nothing. */
  servedS: number
  count: number
  bytes: number
}

/** What a band holds now. */
export interface BandCount {
  readonly priority: number
  readonly count: number
}

/** Flows of a band that are remembered while nobody of them waits; the one that rested longest is forgotten first. */
const RESTED_FLOWS_MAX = 1024

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
  /** A reload may bring others; those that wait stay. */
  options: WaitingRoomOptions
  /** Highest priority first; none is empty. */
  private readonly bands: Array<Band<Ticket>> = []
  private scan = 0

  constructor(options: WaitingRoomOptions) {
    this.options = options
  }

  /** The key of a request that came then and needs that much prefill. */
  keyOf(ownS: number, arrivedS: number): number {
    return ownS + this.options.ageingPerS * arrivedS
  }

  hasRoomFor({ bytes, priority }: Pick<WaitingTerms, "bytes" | "priority">): boolean {
    const { bytesMax, requestsMax } = this.options
    return this.count < requestsMax && this.bytes + bytes <= bytesMax && !this.isBandFull(priority)
  }

  /** Whether giving up sheddable requests of lower priority would make room. */
  couldMakeRoomFor({ bytes, priority }: Pick<WaitingTerms, "bytes" | "priority">): boolean {
    const { bytesMax, requestsMax } = this.options
    if (this.isBandFull(priority)) return false
    let countLeft = this.count
    let bytesLeft = this.bytes
    for (const band of this.bands) {
      if (band.priority >= 0 || band.priority >= priority) continue
      countLeft -= band.count
      bytesLeft -= band.bytes
    }
    return countLeft < requestsMax && bytesLeft + bytes <= bytesMax
  }

  enter(entry: Waiting<Ticket>): void {
    const { bytes, flow: name, priority } = entry.terms
    const band = this.bandOf(priority)
    let flow = band.flows.get(name)
    if (flow === undefined) {
      const servedS = Math.max(band.servedS, band.rested.get(name) ?? 0)
      band.rested.delete(name)
      flow = { name, waiting: [], workS: 0, servedS, cursor: 0, passedS: 0, scan: this.scan }
      band.flows.set(name, flow)
    }
    const at = placeAfter(flow.waiting, entry.key)
    flow.waiting.splice(at, 0, entry)
    if (flow.scan === this.scan && at < flow.cursor) {
      flow.cursor++
      flow.passedS += entry.ownS
    }
    flow.workS += entry.ownS
    band.count++
    band.bytes += bytes
    this.count++
    this.bytes += bytes
  }

  /** Takes a request out; `sentOff` counts its work for its flow. Taking it twice is harmless. */
  leave(entry: Waiting<Ticket>, sentOff: boolean): void {
    const { bytes, flow: name, priority } = entry.terms
    const band = this.findBand(priority)
    const flow = band?.flows.get(name)
    if (band === undefined || flow === undefined) return
    const at = placeOf(flow.waiting, entry)
    if (at < 0) return
    flow.waiting.splice(at, 1)
    if (flow.scan === this.scan && at < flow.cursor) {
      flow.cursor--
      flow.passedS -= entry.ownS
    }
    flow.workS = Math.max(0, flow.workS - entry.ownS)
    band.count--
    band.bytes -= bytes
    this.count--
    this.bytes -= bytes
    if (sentOff) {
      band.servedS = Math.max(band.servedS, flow.servedS)
      flow.servedS += entry.ownS
    }
    if (flow.waiting.length > 0) return
    band.flows.delete(name)
    if (band.flows.size === 0) this.bands.splice(this.bands.indexOf(band), 1)
    else if (flow.servedS > band.servedS) rest(band, flow)
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
    this.scan++
  }

  /** The next in order since `startScan`, or undefined. Entries may come and go between two calls. */
  next(): Waiting<Ticket> | undefined {
    for (const { flows } of this.bands) {
      let least: Flow<Ticket> | undefined
      let leastS = Number.POSITIVE_INFINITY
      for (const flow of flows.values()) {
        if (flow.scan !== this.scan) {
          flow.scan = this.scan
          flow.cursor = 0
          flow.passedS = 0
        }
        // Where the flow would stand if all that the scan passed had gone.
        const standsS = flow.servedS + flow.passedS
        if (flow.cursor >= flow.waiting.length || (least !== undefined && standsS >= leastS)) continue
        least = flow
        leastS = standsS
      }
      const entry = least?.waiting[least.cursor]
      if (least === undefined || entry === undefined) continue
      least.cursor++
      least.passedS += entry.ownS
      return entry
    }
    return undefined
  }

  /** Prefill seconds that go before a request of this key in its own band, by the order as it stands. */
  workAheadS({ flow: name, priority }: Pick<WaitingTerms, "flow" | "priority">, key: number): number {
    const band = this.findBand(priority)
    if (band === undefined) return 0
    const own = band.flows.get(name)
    let aheadS = 0
    if (own !== undefined) {
      for (const entry of own.waiting) {
        if (entry.key > key) break
        aheadS += entry.ownS
      }
    }
    // Every other flow is served until it got as much as this one will have by then.
    const turnS = aheadS + (own?.servedS ?? Math.max(band.servedS, band.rested.get(name) ?? 0))
    for (const flow of band.flows.values()) {
      if (flow !== own) aheadS += Math.min(flow.workS, Math.max(0, turnS - flow.servedS))
    }
    return aheadS
  }

  /** Whether somebody of this priority or a lower one waits. */
  hasUpTo(priority: number): boolean {
    const lowest = this.bands.at(-1)
    return lowest !== undefined && lowest.priority <= priority
  }

  /** Bands with somebody waiting, highest first. */
  bandCounts(): ReadonlyArray<BandCount> {
    return this.bands.map(({ count, priority }) => ({ priority, count }))
  }

  *[Symbol.iterator](): Generator<Waiting<Ticket>> {
    for (const { flows } of this.bands) {
      for (const { waiting } of flows.values()) yield* waiting
    }
  }

  private isBandFull(priority: number): boolean {
    const most = this.options.bandRequestsMax?.get(priority)
    return most !== undefined && (this.findBand(priority)?.count ?? 0) >= most
  }

  private findBand(priority: number): Band<Ticket> | undefined {
    return this.bands.find((band) => band.priority === priority)
  }

  private bandOf(priority: number): Band<Ticket> {
    const at = this.bands.findIndex((band) => band.priority <= priority)
    const found = at < 0 ? undefined : this.bands[at]
    if (found?.priority === priority) return found
    const band: Band<Ticket> = { priority, flows: new Map(), rested: new Map(), servedS: 0, count: 0, bytes: 0 }
    this.bands.splice(at < 0 ? this.bands.length : at, 0, band)
    return band
  }
}

const rest = <Ticket>(band: Band<Ticket>, { name, servedS }: Flow<Ticket>): void => {
  const { rested } = band
  if (rested.size >= RESTED_FLOWS_MAX) {
    for (const [other, otherS] of rested) if (otherS <= band.servedS) rested.delete(other)
    const longest = rested.size >= RESTED_FLOWS_MAX ? rested.keys().next() : undefined
    if (longest?.done === false) rested.delete(longest.value)
  }
  rested.set(name, servedS)
}

/** Where a key belongs: behind its equals. */
const placeAfter = (waiting: ReadonlyArray<{ readonly key: number }>, key: number): number => {
  let low = 0
  let high = waiting.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((waiting[middle]?.key ?? 0) <= key) low = middle + 1
    else high = middle
  }
  return low
}

/** Where an entry is, -1: nowhere. Its equals lie before the place where another of its key would go. */
const placeOf = <Ticket>(waiting: ReadonlyArray<Waiting<Ticket>>, entry: Waiting<Ticket>): number => {
  for (let at = placeAfter(waiting, entry.key) - 1; at >= 0 && waiting[at]?.key === entry.key; at--) {
    if (waiting[at] === entry) return at
  }
  return -1
}
