import { RollingCount } from "./RollingCount.ts"

export interface BreakerOptions {
  /** So many failures without a success between them open it. */
  readonly failuresInRow: number
  /** It opens too when this share of the requests in the window failed, at least `requestsMin` of them there. */
  readonly failureRatio: number
  readonly requestsMin: number
  readonly windowS: number
  /** Open time after the first failure; it doubles with each further one, up to `openMaxS`. */
  readonly openMinS: number
  readonly openMaxS: number
}

/** closed: all may go there. open: none. half-open: one at a time may try. */
export type BreakerState = "closed" | "open" | "half-open"

/**
 * Circuit breaker of one pod. It opens by what requests there met, lets one real request at a time try again once the
 * open time is over, and closes when that one got its first token. Reservations tell the one that tries from others:
 * what was sent before it opened says nothing about the pod as it is now. Clock-free, never fails.
 */
export class Breaker {
  state: BreakerState = "closed"
  /** When the next request may try; holds while open. */
  openUntilS = 0

  private options: BreakerOptions
  private readonly successes: RollingCount
  private readonly failures: RollingCount
  private inRow = 0
  /** In a row, up to the last; forgotten once it stayed closed for `openMaxS`. */
  private openings = 0
  private closedAtS = -Infinity
  private probe = noProbe
  private isProbeOut = false

  constructor(options: BreakerOptions) {
    this.options = options
    this.successes = new RollingCount(options.windowS)
    this.failures = new RollingCount(options.windowS)
  }

  /** From the next failure on; one that is open stays so for as long as it said. */
  replaceOptions(options: BreakerOptions): void {
    this.options = options
    this.successes.resize(options.windowS)
    this.failures.resize(options.windowS)
  }

  /** Not closed, or failures that are sure to be its own came after its last success. */
  get isInDoubt(): boolean {
    return this.state !== "closed" || this.inRow > 0
  }

  /** No request may go there now. */
  blocks(nowS: number): boolean {
    if (this.state === "closed") return false
    return this.state === "open" ? nowS < this.openUntilS : this.isProbeOut
  }

  /** A request goes there, which `blocks` allowed. */
  picked(reservation: number, nowS: number): void {
    if (this.state === "closed" || this.blocks(nowS)) return
    this.state = "half-open"
    this.probe = reservation
    this.isProbeOut = true
  }

  /** It gave this request its first token. */
  served(reservation: number, nowS: number): void {
    if (this.state === "closed") {
      this.inRow = 0
      this.successes.add(nowS)
    } else if (this.state === "half-open" && reservation === this.probe) this.close(nowS)
  }

  /** It failed this request. Not `sure`: that may be the request's own fault, so only many of them count. */
  failed(reservation: number, sure: boolean, nowS: number): void {
    if (this.state === "half-open" && reservation === this.probe) return this.open(nowS)
    if (this.state !== "closed") return
    this.failures.add(nowS)
    if (sure) this.inRow++
    if (this.inRow >= this.options.failuresInRow || this.isRatioReached(nowS)) this.open(nowS)
  }

  /** The request is over, however it went. */
  ended(reservation: number): void {
    if (reservation === this.probe) this.isProbeOut = false
  }

  /** Another process is behind the pod: the next request may try at once. */
  restarted(): void {
    if (this.state === "closed") return this.forget()
    this.openUntilS = 0
    this.tryIsVoid()
  }

  /** Nobody will hear how the request went that tries the pod: another may. */
  tryIsVoid(): void {
    this.probe = noProbe
    this.isProbeOut = false
  }

  private isRatioReached(nowS: number): boolean {
    const failures = this.failures.total(nowS)
    const requests = failures + this.successes.total(nowS)
    return requests >= this.options.requestsMin && failures >= this.options.failureRatio * requests
  }

  private open(nowS: number): void {
    const { openMaxS, openMinS } = this.options
    if (this.state === "closed" && nowS - this.closedAtS >= openMaxS) this.openings = 0
    this.openings++
    this.state = "open"
    this.openUntilS = nowS + Math.min(openMaxS, openMinS * 2 ** (this.openings - 1))
    this.tryIsVoid()
  }

  private close(nowS: number): void {
    this.state = "closed"
    this.closedAtS = nowS
    this.tryIsVoid()
    this.forget()
  }

  private forget(): void {
    this.inRow = 0
    this.successes.clear()
    this.failures.clear()
  }
}

const noProbe = -1
