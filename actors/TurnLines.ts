/**
 * How many lines a pod that goes to and fro may write: a few in a window, and then how many more there were. Times come
 * from outside, so that it works in virtual time.
 */
export class TurnLines {
  private readonly linesMax: number
  private endsMs = Number.NEGATIVE_INFINITY
  private written = 0
  private keptBack = 0

  constructor(linesMax: number) {
    this.linesMax = linesMax
  }

  /** What becomes of a line that is due now: it is the last of its window, one of them, or only counted. */
  next(nowMs: number, windowMs: number): "written" | "last" | "kept-back" {
    if (nowMs >= this.endsMs && this.keptBack === 0) this.begin(nowMs, windowMs, 0)
    if (this.written >= this.linesMax) {
      this.keptBack++
      return "kept-back"
    }
    this.written++
    return this.written === this.linesMax ? "last" : "written"
  }

  /** Lines kept back that a line should tell of now, which then is the first of a new window; 0: none. */
  take(nowMs: number, windowMs: number): number {
    const { keptBack } = this
    if (nowMs < this.endsMs || keptBack === 0) return 0
    this.begin(nowMs, windowMs, 1)
    return keptBack
  }

  private begin(nowMs: number, windowMs: number, written: number): void {
    this.endsMs = nowMs + windowMs
    this.written = written
    this.keptBack = 0
  }
}
