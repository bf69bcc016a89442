/** What is to happen when: a min-heap by time, first in first out among equal times. Three numbers an event. */
export class EventHeap {
  /** The event that the last `pop` took out. */
  timeS = 0
  kind = 0
  subject = 0
  version = 0

  private times = new Float64Array(1024)
  private orders = new Float64Array(1024)
  private kinds = new Uint8Array(1024)
  private subjects = new Int32Array(1024)
  private versions = new Int32Array(1024)
  private size = 0
  private pushed = 0

  push(timeS: number, kind: number, subject: number, version = 0): void {
    if (this.size === this.times.length) this.grow()
    const order = this.pushed++
    let at = this.size++
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (this.times[parent]! <= timeS) break
      this.move(parent, at)
      at = parent
    }
    this.put(at, timeS, order, kind, subject, version)
  }

  /** False when nothing is left. */
  pop(): boolean {
    if (this.size === 0) return false
    this.timeS = this.times[0]!
    this.kind = this.kinds[0]!
    this.subject = this.subjects[0]!
    this.version = this.versions[0]!
    const last = --this.size
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= last) break
      if (child + 1 < last && this.isBefore(child + 1, child)) child++
      if (!this.isBefore(child, last)) break
      this.move(child, at)
      at = child
    }
    this.move(last, at)
    return true
  }

  private isBefore(one: number, other: number): boolean {
    const difference = this.times[one]! - this.times[other]!
    return difference < 0 || (difference === 0 && this.orders[one]! < this.orders[other]!)
  }

  private move(from: number, to: number): void {
    this.put(
      to,
      this.times[from]!,
      this.orders[from]!,
      this.kinds[from]!,
      this.subjects[from]!,
      this.versions[from]!
    )
  }

  private put(at: number, timeS: number, order: number, kind: number, subject: number, version: number): void {
    this.times[at] = timeS
    this.orders[at] = order
    this.kinds[at] = kind
    this.subjects[at] = subject
    this.versions[at] = version
  }

  private grow(): void {
    const length = this.times.length * 2
    const { kinds, orders, subjects, times, versions } = this
    this.times = new Float64Array(length)
    this.times.set(times)
    this.orders = new Float64Array(length)
    this.orders.set(orders)
    this.kinds = new Uint8Array(length)
    this.kinds.set(kinds)
    this.subjects = new Int32Array(length)
    this.subjects.set(subjects)
    this.versions = new Int32Array(length)
    this.versions.set(versions)
  }
}
