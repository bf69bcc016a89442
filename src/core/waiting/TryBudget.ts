/** Tries without success a second, and at once: a pick over a large fleet takes its time, and facts come by thousands. */
const TRIES_PER_S = 4000
const TRIES_BURST = 400

/** How many more requests that wait are worth a try now. */
export class TryBudget {
  private left = TRIES_BURST
  private atS = 0

  pass(nowS: number): void {
    this.left = Math.min(TRIES_BURST, this.left + TRIES_PER_S * Math.max(0, nowS - this.atS))
    this.atS = nowS
  }

  get isSpent(): boolean {
    return this.left < 1
  }

  spend(): void {
    this.left--
  }
}
