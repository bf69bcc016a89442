/** Knows the highest band of late, so that those below it can leave something for its next request. */
export class BandsInUse {
  private highest = Number.NEGATIVE_INFINITY
  private heardS = Number.NEGATIVE_INFINITY

  /** A request of the band came. `forS`: as of `isBelowAnother`. */
  heard(priority: number, nowS: number, forS: number): void {
    if (this.isBelowAnother(priority, nowS, forS)) return
    this.highest = priority
    this.heardS = nowS
  }

  /** Whether a request of a band above this one came in the last so many seconds. */
  isBelowAnother(priority: number, nowS: number, forS: number): boolean {
    return priority < this.highest && nowS - this.heardS < forS
  }
}
