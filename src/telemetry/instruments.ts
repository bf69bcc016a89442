/** Only grows. */
export class Counter {
  value = 0

  add(amount = 1): void {
    this.value += amount
  }
}

export class Gauge {
  value = 0

  add(amount: number): void {
    this.value += amount
  }

  set(value: number): void {
    this.value = value
  }
}

/** Counts values by the upper bounds they stay within. */
export class Histogram {
  readonly bounds: ReadonlyArray<number>
  /** Not cumulative; the last one is for values above every bound. */
  readonly counts: Float64Array
  sum = 0

  /** `bounds` ascend. */
  constructor(bounds: ReadonlyArray<number>) {
    this.bounds = bounds
    this.counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    const { bounds, counts } = this
    let at = 0
    while (at < bounds.length && value > (bounds[at] ?? 0)) at++
    counts[at] = (counts[at] ?? 0) + 1
    this.sum += value
  }
}
