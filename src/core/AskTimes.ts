/** A key lies in one of so many places that its hash names. */
const WAYS = 8
/** The golden ratio as a fraction of 2^32: spreads keys that differ in few bits. */
const SPREAD = 0x9e3779b1

/**
 * When keys were asked for last, of the latest so many. Of fixed size and without garbage: a new key takes the place of
 * the one asked for longest ago among eight. A Map out of which the oldest is deleted keeps the holes and steps over
 * them to the next oldest, a tenth of a millisecond for each new key once it is full.
 */
export class AskTimes {
  private readonly keys: Int32Array
  private readonly atS: Float64Array
  private readonly ways: number
  /** The top bits of a spread key are its set; 32: there is but one. */
  private readonly shift: number

  /** Follows between half of `keysMax` and all. */
  constructor(keysMax: number) {
    this.ways = Math.min(WAYS, keysMax)
    const setBits = Math.floor(Math.log2(keysMax / this.ways))
    this.shift = 32 - setBits
    this.keys = new Int32Array(this.ways << setBits)
    this.atS = new Float64Array(this.ways << setBits).fill(Number.NEGATIVE_INFINITY)
  }

  /** When the key, 32 bits, was asked for before; -Infinity: never, or too long ago. From now on that is `nowS`. */
  exchange(key: number, nowS: number): number {
    const { atS, keys, shift, ways } = this
    const first = shift === 32 ? 0 : (Math.imul(key, SPREAD) >>> shift) * ways
    let oldest = first
    for (let at = first; at < first + ways; at++) {
      if (keys[at] === key) {
        oldest = at
        break
      }
      if ((atS[at] ?? 0) < (atS[oldest] ?? 0)) oldest = at
    }
    const beforeS = keys[oldest] === key ? atS[oldest] ?? 0 : Number.NEGATIVE_INFINITY
    keys[oldest] = key
    atS[oldest] = nowS
    return beforeS
  }
}
