/**
 * A small generator of chance (sfc32): the same seed gives the same numbers everywhere.
 * `fork` gives independent streams, so that one part of a world draws the same however often another part draws.
 */
export class SeededRandom {
  private readonly seed: number
  private a: number
  private b: number
  private c: number
  private counter = 1

  constructor(seed: number) {
    this.seed = seed
    this.a = seed | 0
    this.b = Math.floor(seed / 4_294_967_296) | 0
    this.c = 0x9e3779b9
    for (let i = 0; i < 15; i++) this.word()
  }

  /** A stream of its own for each label. */
  fork(label: number): SeededRandom {
    return new SeededRandom(new SeededRandom(this.seed * 1_048_576 + label + 1).below(Number.MAX_SAFE_INTEGER))
  }

  /** Uniform in [0, 1). */
  uniform(): number {
    return ((this.word() >>> 5) * 67_108_864 + (this.word() >>> 6)) / 9_007_199_254_740_992
  }

  /** A whole number from 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor(this.uniform() * count)
  }

  between(least: number, most: number): number {
    return least + this.uniform() * (most - least)
  }

  /** Time to the next arrival of a Poisson process. */
  exponential(mean: number): number {
    return -Math.log(1 - this.uniform()) * mean
  }

  /** Lengths of prompts and answers: mean, standard deviation over mean, and bounds; a whole number. */
  logNormal(mean: number, spread: number, least: number, most: number): number {
    const variance = Math.log(1 + spread * spread)
    const normal = Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform())
    const value = Math.exp(Math.log(mean) - variance / 2 + Math.sqrt(variance) * normal)
    return Math.round(Math.min(most, Math.max(least, value)))
  }

  shuffle<A>(items: Array<A>): void {
    for (let i = items.length - 1; i > 0; i--) {
      const other = this.below(i + 1)
      const moved = items[i]!
      items[i] = items[other]!
      items[other] = moved
    }
  }

  private word(): number {
    const sum = (this.a + this.b + this.counter++) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = ((this.c << 21) | (this.c >>> 11)) + sum | 0
    return sum
  }
}
