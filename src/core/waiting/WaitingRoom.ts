import { Band } from "./Band.ts"
import type { Waiting, WaitingTerms } from "./Waiting.ts"

export interface WaitingRoomOptions {
  readonly requestsMax: number
  readonly bytesMax: number
  /** Requests of a band that may wait, where that is less than `requestsMax`. */
  readonly bandRequestsMax?: ReadonlyMap<number, number> | undefined
  /** Seconds of prefill that a second of waiting makes up for; positive, or small requests could starve a big one. */
  readonly ageingPerS: number
}

/** What a band holds now. */
export interface BandCount {
  readonly priority: number
  readonly count: number
}

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

  /** Whether giving up all that `giveUpFirst` names for a request would make room for it. */
  couldMakeRoomFor({ bytes, priority }: Pick<WaitingTerms, "bytes" | "priority">, isPodless: boolean): boolean {
    const { bytesMax, requestsMax } = this.options
    if (isPodless ? this.isBandFull(priority) : this.isBandFull(priority, "inLine")) return false
    let countLeft = this.count
    let bytesLeft = this.bytes
    for (const band of this.bands) {
      if (isShedFor(band.priority, priority) && !isPodless) {
        countLeft -= band.count
        bytesLeft -= band.bytes
      } else if (isPodless ? isShedFor(band.priority, priority) : band.priority <= priority) {
        countLeft -= band.podless.size
        bytesLeft -= band.podlessBytes
      }
    }
    return countLeft < requestsMax && bytesLeft + bytes <= bytesMax
  }

  /** Somebody comes, in line or out of it as `podlessSinceS` says. */
  enter(entry: Waiting<Ticket>): void {
    const { bytes, priority } = entry.terms
    const band = this.bandOf(priority)
    if (entry.podlessSinceS === undefined) band.lineUp(entry)
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
    if (band.leavePodless(entry)) this.podlessCount--
    else if (!band.leaveLine(entry, sentOff)) return
    band.count--
    band.bytes -= bytes
    this.count--
    this.bytes -= bytes
    if (band.count === 0) this.bands.splice(this.bands.indexOf(band), 1)
  }

  /** Out of line, since no pod can take it. */
  stepOut(entry: Waiting<Ticket>, nowS: number): void {
    const band = this.findBand(entry.terms.priority)
    if (band === undefined || !band.leaveLine(entry, false)) return
    entry.podlessSinceS = nowS
    this.setApart(band, entry)
  }

  /** Back in line, where its key says. */
  stepIn(entry: Waiting<Ticket>): void {
    const band = this.findBand(entry.terms.priority)
    if (band?.leavePodless(entry) !== true) return
    this.podlessCount--
    entry.podlessSinceS = undefined
    band.lineUp(entry)
  }

  /**
   * Whom to give up first for a request when room is short, or undefined. For one that could be served those without a
   * pod, the lowest band first, though none above its own; then the last in line of the lowest band of a negative
   * priority below its own. For one without a pod itself only those without one of such a band.
   */
  giveUpFirst({ priority }: Pick<WaitingTerms, "priority">, isPodless: boolean): Waiting<Ticket> | undefined {
    if (this.isBandFull(priority)) return isPodless ? undefined : this.findBand(priority)?.lastPodless()
    for (let at = this.bands.length - 1; at >= 0; at--) {
      const band = this.bands[at]
      if (band === undefined || band.podless.size === 0) continue
      if (isPodless ? isShedFor(band.priority, priority) : band.priority <= priority) return band.lastPodless()
    }
    const lowest = this.bands.at(-1)
    return isPodless || lowest === undefined || !isShedFor(lowest.priority, priority) ? undefined : lowest.lastInLine()
  }

  /** `next` begins with the first in order again. */
  startScan(): void {
    this.scan++
  }

  /** The next in line since `startScan`, or undefined. Entries may come and go between two calls. */
  next(): Waiting<Ticket> | undefined {
    for (const band of this.bands) {
      const entry = band.next(this.scan)
      if (entry !== undefined) return entry
    }
    return undefined
  }

  /** Prefill seconds that go before a request of this key in its own band, by the order as it stands. */
  workAheadS({ flow, priority }: Pick<WaitingTerms, "flow" | "priority">, key: number, returns = false): number {
    return this.findBand(priority)?.workAheadS(flow, key, returns) ?? 0
  }

  /** Whether somebody of this priority or a lower one is in line. */
  hasUpTo(priority: number): boolean {
    for (const band of this.bands) {
      if (band.priority <= priority && band.inLine > 0) return true
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
    for (const band of this.bands) yield* band
  }

  private setApart(band: Band<Ticket>, entry: Waiting<Ticket>): void {
    band.setApart(entry)
    this.podlessCount++
  }

  private isBandFull(priority: number, of: "count" | "inLine" = "count"): boolean {
    const most = this.options.bandRequestsMax?.get(priority)
    return most !== undefined && (this.findBand(priority)?.[of] ?? 0) >= most
  }

  private findBand(priority: number): Band<Ticket> | undefined {
    return this.bands.find((band) => band.priority === priority)
  }

  private bandOf(priority: number): Band<Ticket> {
    const at = this.bands.findIndex((band) => band.priority <= priority)
    const found = at < 0 ? undefined : this.bands[at]
    if (found?.priority === priority) return found
    const band = new Band<Ticket>(priority)
    this.bands.splice(at < 0 ? this.bands.length : at, 0, band)
    return band
  }
}

/** Whether requests of a band may be given up for one of another. */
const isShedFor = (priority: number, other: number): boolean => priority < 0 && priority < other
