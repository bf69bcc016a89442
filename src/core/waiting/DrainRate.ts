/** Time over which a rate is averaged. */
const RATE_OVER_S = 10

/** With less than this of waiting seen, nothing is known. */
const KNOWN_AFTER_S = 1

/**
 * How fast those that wait go on, measured only while somebody waits: departures, and their prefill seconds, against
 * the time in which there was somebody to go, both fading alike.
 */
export class DrainRate {
  private requests = 0
  private workS = 0
  private watchedS = 0
  private atS = Number.NaN

  /** Time went by since the last call, in which somebody waited, or nobody. */
  pass(nowS: number, somebodyWaited: boolean): void {
    const elapsedS = nowS - this.atS
    this.atS = nowS
    if (!(elapsedS > 0) || !somebodyWaited) return
    const kept = Math.exp(-elapsedS / RATE_OVER_S)
    this.requests *= kept
    this.workS *= kept
    this.watchedS = this.watchedS * kept + RATE_OVER_S * (1 - kept)
  }

  /** One that waited was sent off. */
  left(ownS: number): void {
    this.requests++
    this.workS += ownS
  }

  /** Requests a second; undefined while nothing is known. */
  get requestsPerS(): number | undefined {
    return this.watchedS < KNOWN_AFTER_S ? undefined : this.requests / this.watchedS
  }

  /** Prefill seconds a second, over the whole fleet; undefined while nothing is known. */
  get workPerS(): number | undefined {
    return this.watchedS < KNOWN_AFTER_S ? undefined : this.workS / this.watchedS
  }
}
