/** A sum for each row over a sliding window, kept in time slices. Memory: 8 bytes a slice and row. */
export class WindowSums {
  private readonly sliceS: number
  private readonly slices: number
  private readonly amounts: Float64Array
  private readonly sums: Float64Array
  /** Number of the newest slice of each row, counted from time zero. */
  private readonly newest: Float64Array

  constructor(rows: number, windowS: number, slices: number) {
    this.sliceS = windowS / slices
    this.slices = slices
    this.amounts = new Float64Array(rows * slices)
    this.sums = new Float64Array(rows)
    this.newest = new Float64Array(rows)
  }

  add(row: number, amount: number, nowS: number): void {
    this.pass(row, nowS)
    const at = row * this.slices + ((this.newest[row] ?? 0) % this.slices)
    this.amounts[at] = (this.amounts[at] ?? 0) + amount
    this.sums[row] = (this.sums[row] ?? 0) + amount
  }

  sum(row: number, nowS: number): number {
    this.pass(row, nowS)
    return this.sums[row] ?? 0
  }

  clear(row: number): void {
    this.amounts.fill(0, row * this.slices, (row + 1) * this.slices)
    this.sums[row] = 0
  }

  /** Empties the slices that have left the window, and adds up the rest anew so that no rounding error stays. */
  private pass(row: number, nowS: number): void {
    const slice = Math.floor(nowS / this.sliceS)
    const newest = this.newest[row] ?? 0
    if (slice <= newest) return
    const start = row * this.slices
    const passed = Math.min(slice - newest, this.slices)
    for (let i = 1; i <= passed; i++) this.amounts[start + ((newest + i) % this.slices)] = 0
    let sum = 0
    for (let i = 0; i < this.slices; i++) sum += this.amounts[start + i] ?? 0
    this.sums[row] = sum
    this.newest[row] = slice
  }
}
