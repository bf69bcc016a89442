/** A Prometheus histogram: counts below each bound, count and sum of all. */
export class Histogram {
  readonly bounds: ReadonlyArray<number>
  /** One entry a bound and one for what lies above all; not cumulative. */
  readonly counts: Float64Array
  count = 0
  sum = 0

  constructor(bounds: ReadonlyArray<number>) {
    this.bounds = bounds
    this.counts = new Float64Array(bounds.length + 1)
  }

  /** `weight` observations of the same value at once. */
  observe(value: number, weight = 1): void {
    let index = 0
    while (index < this.bounds.length && value > this.bounds[index]!) index++
    this.counts[index]! += weight
    this.count += weight
    this.sum += value * weight
  }
}
