/** Lines kept to look at when something went wrong. */
const LINES_KEPT = 40

/** What happened in a world, in order: its hash tells two worlds apart, its last lines tell what led to a fault. */
export class History {
  length = 0
  private hashed = 0n
  private readonly last: Array<string> = []

  add(nowMs: number, line: string): void {
    const text = `${(nowMs / 1000).toFixed(4)} ${line}`
    this.hashed = BigInt(Bun.hash(text, this.hashed))
    this.last[this.length++ % LINES_KEPT] = text
  }

  get hash(): string {
    return this.hashed.toString(16).padStart(16, "0")
  }

  get lastLines(): ReadonlyArray<string> {
    const at = this.length % LINES_KEPT
    return this.length <= LINES_KEPT ? this.last : [...this.last.slice(at), ...this.last.slice(0, at)]
  }
}
