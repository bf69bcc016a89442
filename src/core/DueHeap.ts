const grown = (before: Float64Array, after: Float64Array): Float64Array => {
  after.set(before)
  return after
}

/** A bounded min-heap of (due time, number); the earliest comes out first. */
export class DueHeap {
  private dueS: Float64Array
  private value: Float64Array
  private size = 0

  constructor(capacity: number) {
    this.dueS = new Float64Array(capacity)
    this.value = new Float64Array(capacity)
  }

  get length(): number {
    return this.size
  }

  /** Makes room for so many, if there is less. */
  grow(capacity: number): void {
    if (capacity <= this.dueS.length) return
    this.dueS = grown(this.dueS, new Float64Array(capacity))
    this.value = grown(this.value, new Float64Array(capacity))
  }

  /** False when full. */
  push(dueS: number, value: number): boolean {
    if (this.size === this.dueS.length) return false
    let at = this.size++
    while (at > 0) {
      const parent = (at - 1) >> 1
      if ((this.dueS[parent] ?? 0) <= dueS) break
      this.move(parent, at)
      at = parent
    }
    this.dueS[at] = dueS
    this.value[at] = value
    return true
  }

  /** The value of the earliest entry that is due at `nowS`, or -1. */
  popDue(nowS: number): number {
    if (this.size === 0 || (this.dueS[0] ?? 0) > nowS) return -1
    const top = this.value[0] ?? -1
    const last = --this.size
    const dueS = this.dueS[last] ?? 0
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= last) break
      if (child + 1 < last && (this.dueS[child + 1] ?? 0) < (this.dueS[child] ?? 0)) child++
      if ((this.dueS[child] ?? 0) >= dueS) break
      this.move(child, at)
      at = child
    }
    this.dueS[at] = dueS
    this.value[at] = this.value[last] ?? -1
    return top
  }

  private move(from: number, to: number): void {
    this.dueS[to] = this.dueS[from] ?? 0
    this.value[to] = this.value[from] ?? -1
  }
}
