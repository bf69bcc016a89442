import { Flow } from "./Flow.ts"
import type { Waiting } from "./Waiting.ts"

/** Flows of a band that are remembered while nobody of them waits; the one that rested longest is forgotten first. */
const RESTED_FLOWS_MAX = 1024
/**
 * Prefill seconds that a flow gets before the others at most when it comes again soon, for what it left to them. Without
 * them a flow that wants about its share would never get back what it did not ask for in a moment, and one that always
 * has somebody waiting would get more than its own.
 */
const CREDIT_S = 2

/** Those that wait with one priority: in line by their flows, or out of it for want of a pod. */
export class Band<Ticket> {
  readonly priority: number
  /** Out of line, for want of a pod, in the order in which they stepped out. */
  readonly podless = new Set<Waiting<Ticket>>()
  podlessBytes = 0
  /** Out of line too. */
  count = 0
  bytes = 0
  /** Those with somebody in line. */
  private readonly flows = new Map<string, Flow<Waiting<Ticket>>>()
  /** Those that lost their pod, in line before all flows and at the expense of none: retries are few by their budget. */
  private readonly returning = new Flow<Waiting<Ticket>>("", 0)
  /** `servedS` of flows that have nobody waiting now: coming back earns nothing beyond the credit. */
  private readonly rested = new Map<string, number>()
  /** What the flow that went last had got before: a flow that nobody remembers starts there. */
  private servedS = 0

  constructor(priority: number) {
    this.priority = priority
  }

  get inLine(): number {
    return this.count - this.podless.size
  }

  lineUp(entry: Waiting<Ticket>): void {
    if (entry.returns) return this.returning.add(entry)
    const name = entry.terms.flow
    let flow = this.flows.get(name)
    if (flow === undefined) {
      flow = new Flow(name, this.startS(name))
      this.rested.delete(name)
      this.flows.set(name, flow)
    }
    flow.add(entry)
  }

  /** `sentOff` counts its work for its flow. False: it is not in line. */
  leaveLine(entry: Waiting<Ticket>, sentOff: boolean): boolean {
    if (entry.returns) return this.returning.remove(entry)
    const flow = this.flows.get(entry.terms.flow)
    if (flow?.remove(entry) !== true) return false
    if (sentOff) {
      this.servedS = Math.max(this.servedS, flow.servedS)
      flow.servedS += entry.ownS
    }
    if (flow.waiting.length > 0) return true
    this.flows.delete(flow.name)
    this.rest(flow)
    return true
  }

  /** The next in line of a scan, or undefined. */
  next(scan: number): Waiting<Ticket> | undefined {
    const first = this.returning.next(scan)
    if (first !== undefined) return first
    let least: Flow<Waiting<Ticket>> | undefined
    let leastS = Number.POSITIVE_INFINITY
    for (const flow of this.flows.values()) {
      const standsS = flow.standsS(scan)
      if (standsS === undefined || (least !== undefined && standsS >= leastS)) continue
      least = flow
      leastS = standsS
    }
    return least?.next(scan)
  }

  /** Prefill seconds that go before a request of this flow and key, by the order as it stands. */
  workAheadS(name: string, key: number, returns: boolean): number {
    if (returns) return this.returning.aheadS(key)
    const own = this.flows.get(name)
    const ownAheadS = own?.aheadS(key) ?? 0
    // Every other flow is served until it got as much as this one will have by then.
    const turnS = ownAheadS + (own?.servedS ?? this.startS(name))
    let aheadS = this.returning.workS + ownAheadS
    for (const flow of this.flows.values()) {
      if (flow !== own) aheadS += Math.min(flow.workS, Math.max(0, turnS - flow.servedS))
    }
    return aheadS
  }

  setApart(entry: Waiting<Ticket>): void {
    this.podless.add(entry)
    this.podlessBytes += entry.terms.bytes
  }

  /** False: it is not out of line. */
  leavePodless(entry: Waiting<Ticket>): boolean {
    if (!this.podless.delete(entry)) return false
    this.podlessBytes -= entry.terms.bytes
    return true
  }

  /** Of those out of line, who stepped out last; of those that were under way once only if there is no other. */
  lastPodless(): Waiting<Ticket> | undefined {
    let last: Waiting<Ticket> | undefined
    for (const entry of this.podless) if (last === undefined || last.returns || !entry.returns) last = entry
    return last
  }

  lastInLine(): Waiting<Ticket> | undefined {
    let last: Waiting<Ticket> | undefined
    for (const { waiting } of this.flows.values()) {
      const entry = waiting.at(-1)
      if (entry !== undefined && (last === undefined || entry.key > last.key)) last = entry
    }
    return last ?? this.returning.waiting.at(-1)
  }

  *[Symbol.iterator](): Generator<Waiting<Ticket>> {
    yield* this.returning.waiting
    for (const { waiting } of this.flows.values()) yield* waiting
    yield* this.podless
  }

  /** What a flow has got already when it comes anew. */
  private startS(name: string): number {
    return Math.max(this.servedS - CREDIT_S, this.rested.get(name) ?? this.servedS)
  }

  private rest({ name, servedS }: Flow<Waiting<Ticket>>): void {
    const { rested } = this
    if (rested.size >= RESTED_FLOWS_MAX) {
      for (const [other, otherS] of rested) if (otherS <= this.servedS - CREDIT_S) rested.delete(other)
      const longest = rested.size >= RESTED_FLOWS_MAX ? rested.keys().next() : undefined
      if (longest?.done === false) rested.delete(longest.value)
    }
    rested.delete(name)
    rested.set(name, servedS)
  }
}
