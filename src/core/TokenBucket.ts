/**
 * A bucket that refills at a steady rate up to one minute's worth. It may be charged below zero, so that what a charge
 * turns out to be later is never lost. The caller's clock must not go back; if it does, nothing refills meanwhile.
 */
export class TokenBucket {
  private capacity: number
  private level: number
  private filledMs: number

  /** Begins full. `perMinute` is above zero. */
  constructor(perMinute: number, nowMs: number) {
    this.capacity = perMinute
    this.level = perMinute
    this.filledMs = nowMs
  }

  /** A new rate; what has been used stays used. */
  resize(perMinute: number, nowMs: number): void {
    this.refill(nowMs)
    this.level = Math.min(perMinute, this.level + perMinute - this.capacity)
    this.capacity = perMinute
  }

  /**
   * Seconds until `amount` may be taken; 0: now. More than a minute's worth may be taken from a full bucket, else it
   * never could.
   */
  waitS(amount: number, nowMs: number): number {
    this.refill(nowMs)
    const lacking = Math.min(amount, this.capacity) - this.level
    return lacking <= 0 ? 0 : (lacking * 60) / this.capacity
  }

  /** Takes `amount` whatever the level; a negative amount gives back. */
  take(amount: number, nowMs: number): void {
    this.refill(nowMs)
    this.level = Math.min(this.capacity, this.level - amount)
  }

  private refill(nowMs: number): void {
    if (nowMs <= this.filledMs) return
    this.level = Math.min(this.capacity, this.level + ((nowMs - this.filledMs) / 60_000) * this.capacity)
    this.filledMs = nowMs
  }
}
