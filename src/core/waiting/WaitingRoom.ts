import type { RequestFeatures, WaitingWish } from "../RequestFeatures.ts"
import { Flow } from "./Flow.ts"

/** How a request may wait: what it asked for, within what the operator allows. */
export interface WaitingTerms extends Pick<WaitingWish, "bytes" | "flow" | "priority"> {
  /** When the waiting for its turn ends, on the scheduler's clock; time without any pod does not count. */
  readonly deadlineS: number
  /** When its client gives up, so that no waiting goes on. Undefined: never. */
  readonly clientDeadlineS?: number | undefined
}

/** A request in the room. `Ticket` is whatever its owner knows it by. */
export interface Waiting<Ticket> {
  readonly ticket: Ticket
  readonly request: RequestFeatures
  /** Pods that failed it and were not away since. */
  excluded: ReadonlyArray<string>
  /** It was under way once and lost its pod, so it goes before those of its band that were not. */
  readonly returns: boolean
  readonly terms: WaitingTerms
  readonly arrivedS: number
  /** Prefill seconds on the pod where it would need least. */
  ownS: number
  /** Its place in its flow, lowest first; see `WaitingRoom.keyOf`. Not to be changed while it is in line. */
  key: number
  /** When it is worth another try, unless it is among the first. */
  nextTryS: number
  /** When the waiting for its turn ends. */
  deadlineS: number
  /** Since when it is out of line because no pod that serves it takes requests; undefined: it is in line. */
  podlessSinceS: number | undefined
  /** Seconds out of line before that. */
  podlessS: number
  /** So long it waits for a pod that serves its model, of which none is known; 0: it does not. */
  modelUntilS: number
}

export interface WaitingRoomOptions {
  readonly requestsMax: number
  readonly bytesMax: number
  /** Requests of a band that may wait, where that is less than `requestsMax`. */
  readonly bandRequestsMax?: ReadonlyMap<number, number> | undefined
  /** Seconds of prefill that a second of waiting makes up for; positive, or small requests could starve a big one. */
  readonly ageingPerS: number
}

interface Band<Ticket> {
  readonly priority: number
  /** Those with somebody in line. */
  readonly flows: Map<string, Flow<Waiting<Ticket>>>
  /** Those that lost their pod, in line before all flows and at the expense of none: retries are few by their budget. */
  readonly returning: Flow<Waiting<Ticket>>
  /** Out of line, for want of a pod. */
  readonly podless: Set<Waiting<Ticket>>
  /** `servedS` of flows that have nobody waiting now but got more than their part, so that coming back earns nothing. */
  readonly rested: Map<string, number>
  /** What the flow that went last had got before: a flow that comes anew starts there, so idle time earns nothing. */
  servedS: number
  /** Out of line too. */
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
 * - Inside a band those that were under way once go first, in the order in which they came back.
 * - Inside a band the flow that got least prefill time goes first: start-time fair queueing, which is deficit round robin
 *   without its quantum.
 * - Inside a flow the smallest work goes first, aged: a request is overtaken only by those that came less than
 *   (its work - theirs) / `ageingPerS` seconds after it, so nobody starves (DESIGN 5).
 */
export class WaitingRoom<Ticket> {
  /** Out of line too. */
  count = 0
  /** Out of line: no pod that serves them takes requests now. They count against every bound. */
  podlessCount = 0
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

  /** Somebody comes, in line or out of it as `podlessSinceS` says. */
  enter(entry: Waiting<Ticket>): void {
    const { bytes, priority } = entry.terms
    const band = this.bandOf(priority)
    if (entry.podlessSinceS === undefined) lineUp(band, entry)
    else this.setApart(band, entry)
    band.count++
    band.bytes += bytes
    this.count++
    this.bytes += bytes
  }

  /** Takes a request out; `sentOff` counts its work for its flow. Taking it twice is harmless. */
  leave(entry: Waiting<Ticket>, sentOff: boolean): void {
    const { bytes, priority } = entry.terms
    const band = this.findBand(priority)
    if (band === undefined) return
    if (band.podless.delete(entry)) this.podlessCount--
    else if (!leaveLine(band, entry, sentOff)) return
    band.count--
    band.bytes -= bytes
    this.count--
    this.bytes -= bytes
    if (band.count === 0) this.bands.splice(this.bands.indexOf(band), 1)
  }

  /** Out of line, since no pod can take it. */
  stepOut(entry: Waiting<Ticket>, nowS: number): void {
    const band = this.findBand(entry.terms.priority)
    if (band === undefined || !leaveLine(band, entry, false)) return
    entry.podlessSinceS = nowS
    this.setApart(band, entry)
  }

  /** Back in line, where its key says. */
  stepIn(entry: Waiting<Ticket>): void {
    const band = this.findBand(entry.terms.priority)
    if (band?.podless.delete(entry) !== true) return
    this.podlessCount--
    entry.podlessSinceS = undefined
    lineUp(band, entry)
  }

  /** Whom to give up first when room is short: of the lowest band, if it may be shed, the last in order. */
  shedFirst(): Waiting<Ticket> | undefined {
    const band = this.bands.at(-1)
    if (band === undefined || band.priority >= 0) return undefined
    // Those without a pod are the least likely to be served.
    let last = lastOf(band.podless)
    if (last !== undefined) return last
    for (const { waiting } of band.flows.values()) {
      const entry = waiting.at(-1)
      if (entry !== undefined && (last === undefined || entry.key > last.key)) last = entry
    }
    return last ?? band.returning.waiting.at(-1)
  }

  /** `next` begins with the first in order again. */
  startScan(): void {
    this.scan++
  }

  /** The next in line since `startScan`, or undefined. Entries may come and go between two calls. */
  next(): Waiting<Ticket> | undefined {
    for (const { flows, returning } of this.bands) {
      const first = returning.next(this.scan)
      if (first !== undefined) return first
      let least: Flow<Waiting<Ticket>> | undefined
      let leastS = Number.POSITIVE_INFINITY
      for (const flow of flows.values()) {
        const standsS = flow.standsS(this.scan)
        if (standsS === undefined || (least !== undefined && standsS >= leastS)) continue
        least = flow
        leastS = standsS
      }
      const entry = least?.next(this.scan)
      if (entry !== undefined) return entry
    }
    return undefined
  }

  /** Prefill seconds that go before a request of this key in its own band, by the order as it stands. */
  workAheadS({ flow: name, priority }: Pick<WaitingTerms, "flow" | "priority">, key: number, returns = false): number {
    const band = this.findBand(priority)
    if (band === undefined) return 0
    if (returns) return band.returning.aheadS(key)
    const own = band.flows.get(name)
    const ownAheadS = own?.aheadS(key) ?? 0
    // Every other flow is served until it got as much as this one will have by then.
    const turnS = ownAheadS + (own?.servedS ?? Math.max(band.servedS, band.rested.get(name) ?? 0))
    let aheadS = band.returning.workS + ownAheadS
    for (const flow of band.flows.values()) {
      if (flow !== own) aheadS += Math.min(flow.workS, Math.max(0, turnS - flow.servedS))
    }
    return aheadS
  }

  /** Whether somebody of this priority or a lower one is in line. */
  hasUpTo(priority: number): boolean {
    for (const band of this.bands) {
      if (band.priority <= priority && band.count > band.podless.size) return true
    }
    return false
  }

  /** Those out of line. */
  podless(): ReadonlyArray<Waiting<Ticket>> {
    return this.bands.flatMap(({ podless }) => [...podless])
  }

  /** Bands with somebody waiting, highest first. */
  bandCounts(): ReadonlyArray<BandCount> {
    return this.bands.map(({ count, priority }) => ({ priority, count }))
  }

  *[Symbol.iterator](): Generator<Waiting<Ticket>> {
    for (const { flows, podless, returning } of this.bands) {
      yield* returning.waiting
      for (const { waiting } of flows.values()) yield* waiting
      yield* podless
    }
  }

  private setApart(band: Band<Ticket>, entry: Waiting<Ticket>): void {
    band.podless.add(entry)
    this.podlessCount++
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
    const band: Band<Ticket> = {
      priority,
      flows: new Map(),
      returning: new Flow("", 0),
      podless: new Set(),
      rested: new Map(),
      servedS: 0,
      count: 0,
      bytes: 0
    }
    this.bands.splice(at < 0 ? this.bands.length : at, 0, band)
    return band
  }
}

const lineUp = <Ticket>(band: Band<Ticket>, entry: Waiting<Ticket>): void => {
  if (entry.returns) return band.returning.add(entry)
  const name = entry.terms.flow
  let flow = band.flows.get(name)
  if (flow === undefined) {
    flow = new Flow(name, Math.max(band.servedS, band.rested.get(name) ?? 0))
    band.rested.delete(name)
    band.flows.set(name, flow)
  }
  flow.add(entry)
}

/** False: it is not in line. */
const leaveLine = <Ticket>(band: Band<Ticket>, entry: Waiting<Ticket>, sentOff: boolean): boolean => {
  if (entry.returns) return band.returning.remove(entry)
  const flow = band.flows.get(entry.terms.flow)
  if (flow?.remove(entry) !== true) return false
  if (sentOff) {
    band.servedS = Math.max(band.servedS, flow.servedS)
    flow.servedS += entry.ownS
  }
  if (flow.waiting.length > 0) return true
  band.flows.delete(flow.name)
  if (flow.servedS > band.servedS) rest(band, flow)
  return true
}

const lastOf = <A>(set: ReadonlySet<A>): A | undefined => {
  let last: A | undefined
  for (const entry of set) last = entry
  return last
}

const rest = <Ticket>(band: Band<Ticket>, { name, servedS }: Flow<Waiting<Ticket>>): void => {
  const { rested } = band
  if (rested.size >= RESTED_FLOWS_MAX) {
    for (const [other, otherS] of rested) if (otherS <= band.servedS) rested.delete(other)
    const longest = rested.size >= RESTED_FLOWS_MAX ? rested.keys().next() : undefined
    if (longest?.done === false) rested.delete(longest.value)
  }
  rested.set(name, servedS)
}
