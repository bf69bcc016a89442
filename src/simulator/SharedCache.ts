import type { BlockChain } from "../core/BlockChain.ts"
import type { KvTier } from "../emulator/engine/KvTier.ts"

const LOW_RANGE = 2 ** 32
/** A key of 53 bits is a whole number that a double holds; two of ten million blocks share one in less than one run of a hundred. */
const HIGH_BITS = 0x1fffff
const EMPTY = -1

/** A prefix cache without end, from which every pod's requests read, and to which all write, at no cost. */
export class SharedCache implements KvTier {
  private keys = new Float64Array(1 << 16).fill(EMPTY)
  private count = 0

  add(low: number, high: number): void {
    const key = keyOf(low, high)
    const slot = this.slotOf(key)
    if (this.keys[slot] === key) return
    this.keys[slot] = key
    if (++this.count * 2 > this.keys.length) this.grow()
  }

  match({ high, length, low }: BlockChain): number {
    let blocks = 0
    for (; blocks < length; blocks++) {
      const key = keyOf(low[blocks]!, high[blocks]!)
      if (this.keys[this.slotOf(key)] !== key) break
    }
    return blocks
  }

  /** The slot that has the key, or the free one where it belongs. */
  private slotOf(key: number): number {
    const mask = this.keys.length - 1
    let slot = Math.imul(key ^ Math.imul(key / LOW_RANGE, 0x9e3779b1), 0x85ebca6b) >>> 5 & mask
    while (this.keys[slot] !== EMPTY && this.keys[slot] !== key) slot = (slot + 1) & mask
    return slot
  }

  private grow(): void {
    const former = this.keys
    this.keys = new Float64Array(former.length * 2).fill(EMPTY)
    for (const key of former) if (key !== EMPTY) this.keys[this.slotOf(key)] = key
  }
}

const keyOf = (low: number, high: number): number => (high & HIGH_BITS) * LOW_RANGE + (low >>> 0)
