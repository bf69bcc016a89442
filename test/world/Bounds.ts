import type { BreakerOptions } from "../../src/core/Breaker.ts"
import type { SeededRandom } from "../../src/simulator/SeededRandom.ts"
import type { WorldPlan } from "./WorldPlan.ts"

/** Settings of the scheduler that a reload changes. */
export interface Limits {
  readonly openRequestsMax: number
  readonly waits: boolean
  readonly waitingMax: number
  readonly waitingBytesMax: number
  readonly waitMaxS: number
  readonly podlessS: number
  readonly breaker: BreakerOptions
}

/** What one gateway process may hold: a smaller limit sends nobody away, but then there may only be fewer. */
export class Bounds {
  limits: Limits
  /** Of all that was ever said in this process: who waits keeps the time that it was promised. */
  private turnS = 0
  private podlessS = 0
  private open = 0
  private waiting = 0
  private bytes = 0

  constructor(limits: Limits) {
    this.limits = limits
    this.change(limits)
  }

  change(limits: Limits): void {
    this.limits = limits
    if (limits.waits) this.turnS = Math.max(this.turnS, limits.waitMaxS)
    if (limits.waits) this.podlessS = Math.max(this.podlessS, limits.podlessS)
    this.open = Math.max(this.open, limits.openRequestsMax)
    this.waiting = Math.max(this.waiting, limits.waitingMax)
    this.bytes = Math.max(this.bytes, limits.waitingBytesMax)
  }

  /** The most that a request may wait whose band has this share of the time for a turn. */
  longestWaitS(share: number): number {
    return this.turnS * share + this.podlessS
  }

  /** Says what is too much now. */
  look(open: number, waiting: number, bytes: number): ReadonlyArray<string> {
    const faults: Array<string> = []
    if (open > this.open) faults.push(`${open} reservations, ${this.open} may be`)
    if (waiting > this.waiting) faults.push(`${waiting} requests wait, ${this.waiting} may`)
    if (bytes > this.bytes) faults.push(`${bytes} bytes wait, ${this.bytes} may`)
    const { openRequestsMax, waitingBytesMax, waitingMax } = this.limits
    this.open = Math.max(openRequestsMax, Math.min(this.open, open))
    this.waiting = Math.max(waitingMax, Math.min(this.waiting, waiting))
    this.bytes = Math.max(waitingBytesMax, Math.min(this.bytes, bytes))
    return faults
  }
}

/** What an operator may write next. */
export const otherLimits = (random: SeededRandom, plan: WorldPlan): Limits => ({
  openRequestsMax: random.uniform() < 0.5 ? 24 : plan.openRequestsMax,
  waits: random.uniform() < 0.9,
  waitingMax: random.uniform() < 0.5 ? 16 : plan.waitingMax,
  waitingBytesMax: random.uniform() < 0.3 ? 200_000 : plan.waitingBytesMax,
  waitMaxS: random.between(2, 30),
  podlessS: random.uniform() < 0.5 ? random.between(0, 10) : 0,
  breaker: {
    ...plan.breaker,
    failuresInRow: 2 + random.below(8),
    openMinS: random.between(0.5, 3),
    windowS: random.between(3, 20)
  }
})
