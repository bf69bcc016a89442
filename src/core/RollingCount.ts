/** Counts over about the last `windowS` seconds, in two halves: it forgets between half and all of the window at once. */
export class RollingCount {
  private halfS: number
  private halfSinceS = -Infinity
  private now = 0
  private before = 0

  constructor(windowS: number) {
    this.halfS = windowS / 2
  }

  /** From now on; what is counted stays until it is as old as the new window. */
  resize(windowS: number): void {
    this.halfS = windowS / 2
  }

  add(nowS: number): void {
    this.turn(nowS)
    this.now++
  }

  total(nowS: number): number {
    this.turn(nowS)
    return this.now + this.before
  }

  clear(): void {
    this.now = 0
    this.before = 0
  }

  private turn(nowS: number): void {
    const agoS = nowS - this.halfSinceS
    if (agoS < this.halfS) return
    this.before = agoS < 2 * this.halfS ? this.now : 0
    this.now = 0
    this.halfSinceS = nowS
  }
}
