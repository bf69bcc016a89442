/** The time after which an overload persists has so many parts. More must come than goes on in each of them, */
const SPANS = 4
/** and in all so many times as much. */
const OVER_RATIO = 1.08
/** It has passed when no more than this came */
const CALM_RATIO = 1.02
/** in so many parts in a row. */
const CALM_SPANS = 2

/**
 * Whether more work comes to wait in a band than goes on, for so long that it is no burst. By what comes and goes and
 * not by the length of the queue: a batch that was sent at once, and clients that each send their next request after an
 * answer, may fill a queue for as long as they like without asking for more than the fleet does.
 */
export class Overload {
  persists = false
  private askedS = 0
  private sentOffS = 0
  private spanSinceS = Number.NaN
  /** Of the parts one after the other in which more came than went on, the last included. */
  private over = 0
  private overAskedS = 0
  private overSentOffS = 0
  private calm = 0
  private excess = 0

  /** A request came that has to wait, whatever becomes of it. */
  asked(ownS: number): void {
    this.askedS += ownS
  }

  /** One that waited went to a pod. */
  sentOff(ownS: number): void {
    this.sentOffS += ownS
  }

  /** `afterS`: so long more must come than goes on. */
  pass(nowS: number, afterS: number): void {
    const spanS = afterS / SPANS
    if (!(nowS - this.spanSinceS < SPANS * spanS)) return this.begin(nowS)
    while (nowS - this.spanSinceS >= spanS) this.endSpan(spanS)
  }

  /** How long what came too much of late would take at the pace at which the others go on. */
  get excessS(): number {
    return this.persists ? this.excess : 0
  }

  /** Nothing was heard for long, so nobody waits. */
  private begin(nowS: number): void {
    this.persists = false
    this.beginOver()
    this.calm = 0
    this.askedS = 0
    this.sentOffS = 0
    this.spanSinceS = nowS
  }

  private beginOver(): void {
    this.over = 0
    this.overAskedS = 0
    this.overSentOffS = 0
  }

  private endSpan(spanS: number): void {
    if (this.askedS <= this.sentOffS) this.beginOver()
    else {
      this.over++
      this.overAskedS += this.askedS
      this.overSentOffS += this.sentOffS
    }
    if (this.over >= SPANS && this.overAskedS > OVER_RATIO * this.overSentOffS) this.persists = true
    this.calm = this.askedS <= CALM_RATIO * this.sentOffS ? this.calm + 1 : 0
    if (this.calm >= CALM_SPANS) this.persists = false
    this.excess = Math.max(0, spanS * (this.askedS / Math.max(this.sentOffS, 1e-9) - 1))
    this.askedS = 0
    this.sentOffS = 0
    this.spanSinceS += spanS
  }
}
