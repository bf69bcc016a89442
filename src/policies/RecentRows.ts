/** Rows by how recently they were touched, at most `limit` of them; the one touched longest ago is forgotten first. */
export class RecentRows {
  /** The row touched longest ago, -1 when there is none. */
  oldest = -1
  private readonly limit: number
  private newest = -1
  private count = 0
  private readonly newer: Int32Array
  private readonly older: Int32Array
  private readonly known: Uint8Array

  constructor(rows: number, limit: number) {
    this.limit = limit
    this.newer = new Int32Array(rows)
    this.older = new Int32Array(rows)
    this.known = new Uint8Array(rows)
  }

  has(row: number): boolean {
    return this.known[row] === 1
  }

  /** The row touched next after this one, -1 after the last. */
  after(row: number): number {
    return this.newer[row] ?? -1
  }

  touch(row: number): void {
    this.forget(row)
    if (this.count === this.limit) this.forget(this.oldest)
    this.older[row] = this.newest
    this.newer[row] = -1
    if (this.newest >= 0) this.newer[this.newest] = row
    else this.oldest = row
    this.newest = row
    this.known[row] = 1
    this.count++
  }

  forget(row: number): void {
    if (!this.has(row)) return
    const newer = this.newer[row] ?? -1
    const older = this.older[row] ?? -1
    if (older >= 0) this.newer[older] = newer
    else this.oldest = newer
    if (newer >= 0) this.older[newer] = older
    else this.newest = older
    this.known[row] = 0
    this.count--
  }
}
