import { Breaker, type BreakerOptions, type BreakerState } from "./Breaker.ts"
import type { PodAddress } from "./Pod.ts"
import type { PodTable } from "./PodTable.ts"
import type { PickContext } from "./Policy.ts"

export interface BreakerChange {
  readonly address: PodAddress
  readonly state: BreakerState
  /** Why it opened, in words; "" otherwise. */
  readonly why: string
  /** Until a request may try; 0 unless it opened. */
  readonly openS: number
}

export interface GuardOptions {
  readonly breaker: BreakerOptions
  /** A pod that came back to a fleet at work gets a growing share of the picks for so long. */
  readonly slowStartS: number
  /** A pod without a first token for so long beyond what its queue should take is passed over. */
  readonly stallAfterS: number
  readonly onChange: (change: BreakerChange) => void
}

/** Share of the picks that a pod is a candidate for as its slow start begins. */
const RAMP_SHARE_MIN = 0.1
/** A prefill queue may take so many times what the constants say. */
const QUEUE_SLACK = 4

/**
 * Keeps requests from pods that are broken, just back or stuck, whatever the policy. A breaker's word is final; the
 * other two only order pods, so they never leave a request without one. The scheduler is the only writer.
 */
export class PodGuard {
  private readonly table: PodTable
  private options: GuardOptions | undefined
  /** By row, made at a pod's first failure: a success on any other costs one look. */
  private readonly breakers: Array<Breaker | undefined> = []
  /** Breakers that are open or half-open. */
  notClosed = 0
  /** By row: since when it may take requests, on the scheduler's clock. */
  private readonly readySinceS: Float64Array
  private readonly rampFromS: Float64Array
  private readonly rampForS: Float64Array
  private rampsUntilS = -Infinity
  private readonly kept: Uint32Array
  /** By row: picks that could have gone there, since the pod took the row. */
  private readonly heldBackByRamp: Float64Array
  private readonly heldBackByStall: Float64Array

  constructor(table: PodTable, options: GuardOptions | undefined) {
    this.table = table
    this.options = options
    this.readySinceS = new Float64Array(table.rowsMax).fill(Infinity)
    this.rampFromS = new Float64Array(table.rowsMax).fill(-Infinity)
    this.rampForS = new Float64Array(table.rowsMax)
    this.kept = new Uint32Array(table.rowsMax)
    this.heldBackByRamp = new Float64Array(table.rowsMax)
    this.heldBackByStall = new Float64Array(table.rowsMax)
  }

  /** From now on. Breakers stay as they are; a slow start under way ends after the new time, if that is shorter. */
  replaceOptions(options: GuardOptions | undefined): void {
    this.options = options
    if (options !== undefined) { for (const breaker of this.breakers) breaker?.replaceOptions(options.breaker) }
  }

  /**
   * Compacts the context's candidates to those that should get a request now; none are left only when breakers block
   * them all. `ramps` false, for a look that is no pick, leaves slow start, which takes random numbers, out and counts
   * nothing.
   */
  admit(context: PickContext, ramps: boolean): void {
    if (this.options === undefined) return
    const { candidates, nowS } = context
    if (this.notClosed > 0) {
      let count = 0
      for (let i = 0; i < context.candidateCount; i++) {
        const row = candidates[i] ?? 0
        if (!this.blocks(row, nowS)) candidates[count++] = row
      }
      context.candidateCount = count
    }
    const isRamping = ramps && nowS < this.rampsUntilS
    let count = 0
    for (let i = 0; i < context.candidateCount; i++) {
      const row = candidates[i] ?? 0
      if (this.isStuck(row, nowS)) continue
      if (isRamping && !this.isRampedIn(row, context)) continue
      this.kept[count++] = row
    }
    if (count === 0 || count === context.candidateCount) return
    if (ramps) this.countPassedOver(context, count)
    for (let i = 0; i < count; i++) candidates[i] = this.kept[i] ?? 0
    context.candidateCount = count
  }

  /** The breaker lets no request there now. */
  blocks(row: number, nowS: number): boolean {
    return this.breakers[row]?.blocks(nowS) === true
  }

  /** Its breaker is not closed, or the last that was sure to be its own doing was a failure. */
  isInDoubt(row: number): boolean {
    return this.breakers[row]?.isInDoubt === true
  }

  /** True when this request tries a pod whose breaker is not closed. */
  picked(row: number, reservation: number, nowS: number): boolean {
    const breaker = this.breakers[row]
    if (breaker === undefined || breaker.state === "closed") return false
    const before = breaker.state
    breaker.picked(reservation, nowS)
    this.tell(row, breaker, before, "", nowS)
    return true
  }

  served(row: number, reservation: number, nowS: number): void {
    const breaker = this.breakers[row]
    if (breaker === undefined) return
    const before = breaker.state
    breaker.served(reservation, nowS)
    if (before !== breaker.state) this.startRamp(row, nowS)
    this.tell(row, breaker, before, "", nowS)
  }

  failed(row: number, reservation: number, sure: boolean, why: string, nowS: number): void {
    if (this.options === undefined) return
    const breaker = this.breakers[row] ??= new Breaker(this.options.breaker)
    const before = breaker.state
    breaker.failed(reservation, sure, nowS)
    this.tell(row, breaker, before, why, nowS)
  }

  ended(row: number, reservation: number): void {
    this.breakers[row]?.ended(reservation)
  }

  /** Nobody will hear how the request went that tried the pod. */
  tryIsVoid(row: number): void {
    this.breakers[row]?.tryIsVoid()
  }

  /** Another process is behind the pod. */
  restarted(row: number): void {
    this.breakers[row]?.restarted()
  }

  /** Whether the pod may take requests has changed. */
  turned(row: number, accepting: boolean, nowS: number): void {
    if (accepting) this.startRamp(row, nowS)
    this.readySinceS[row] = accepting ? nowS : Infinity
  }

  /** The row names another pod, or none, from now on. */
  clear(row: number): void {
    const breaker = this.breakers[row]
    if (breaker !== undefined && breaker.state !== "closed") this.notClosed--
    this.breakers[row] = undefined
    this.readySinceS[row] = Infinity
    this.rampFromS[row] = -Infinity
    this.heldBackByRamp[row] = 0
    this.heldBackByStall[row] = 0
  }

  stateOf(row: number): BreakerState {
    return this.breakers[row]?.state ?? "closed"
  }

  /** Seconds until a breaker lets a request try; undefined when none is open. */
  retryInS(nowS: number): number | undefined {
    let atS = Infinity
    if (this.notClosed === 0) return undefined
    for (let row = 0; row < this.table.rowCount; row++) {
      const breaker = this.breakers[row]
      if (breaker?.state === "open" && this.table.accepting[row] === 1) atS = Math.min(atS, breaker.openUntilS)
    }
    return atS === Infinity ? undefined : Math.max(0, atS - nowS)
  }

  /** It gave no first token for so long, or no answer about itself, that it is passed over while there are others. */
  isStuck(row: number, nowS: number): boolean {
    const { options, table } = this
    if (table.strained[row] === 1) return true
    if (options === undefined || table.prefilling[row] === 0) return false
    const ownS = QUEUE_SLACK * (table.prefillAheadS[row] ?? 0)
    return nowS - (table.prefillSinceS[row] ?? 0) > options.stallAfterS + ownS
  }

  /** Share of the picks that the pod is a candidate for; less than 1 during its slow start. */
  rampShare(row: number, nowS: number): number {
    const forS = Math.min(this.options?.slowStartS ?? 0, this.rampForS[row] ?? 0)
    const share = forS > 0 ? (nowS - (this.rampFromS[row] ?? 0)) / forS : 1
    return share >= 1 ? 1 : Math.max(RAMP_SHARE_MIN, share)
  }

  /** Picks that others got because this pod was in slow start or stuck. */
  passedOver(row: number): { readonly slowStart: number; readonly stall: number } {
    return { slowStart: this.heldBackByRamp[row] ?? 0, stall: this.heldBackByStall[row] ?? 0 }
  }

  private isRampedIn(row: number, { nowS, random }: PickContext): boolean {
    const share = this.rampShare(row, nowS)
    return share >= 1 || random() < share
  }

  /** Of the candidates, those that are not among the first `keptCount` of `kept`, which has their order. */
  private countPassedOver({ candidateCount, candidates, nowS }: PickContext, keptCount: number): void {
    let next = 0
    for (let i = 0; i < candidateCount; i++) {
      const row = candidates[i] ?? 0
      if (next < keptCount && this.kept[next] === row) {
        next++
        continue
      }
      const counts = this.isStuck(row, nowS) ? this.heldBackByStall : this.heldBackByRamp
      counts[row] = (counts[row] ?? 0) + 1
    }
  }

  /** Only beside a pod that has been at work for a while: at the start of a gateway every pod is new. */
  private startRamp(row: number, nowS: number): void {
    const slowStartS = this.options?.slowStartS ?? 0
    if (slowStartS === 0 || !this.isFleetAtWork(row, nowS - slowStartS)) return
    this.rampFromS[row] = nowS
    this.rampForS[row] = slowStartS
    this.rampsUntilS = Math.max(this.rampsUntilS, nowS + slowStartS)
  }

  private isFleetAtWork(exceptRow: number, sinceS: number): boolean {
    for (let row = 0; row < this.table.rowCount; row++) {
      if (row === exceptRow || this.stateOf(row) !== "closed") continue
      if (this.table.accepting[row] === 1 && (this.readySinceS[row] ?? Infinity) <= sinceS) return true
    }
    return false
  }

  private tell(row: number, breaker: Breaker, before: BreakerState, why: string, nowS: number): void {
    const { state } = breaker
    const address = this.table.addresses[row]
    if (state === before || address === undefined) return
    if (before === "closed") this.notClosed++
    else if (state === "closed") this.notClosed--
    this.options?.onChange({ address, state, why, openS: state === "open" ? breaker.openUntilS - nowS : 0 })
  }
}
