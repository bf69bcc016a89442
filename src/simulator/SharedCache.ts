import type { BlockChain } from "../core/BlockChain.ts"
import type { KvTier } from "../emulator/engine/KvTier.ts"

const LOW_RANGE = 2 ** 32
/** A key of 53 bits is a whole number that a double holds; two of ten million blocks share one once in a hundred runs. */
const HIGH_BITS = 0x1fffff
const EMPTY = -1

/** A prefix cache without end that every pod reads and writes at no cost. */
export class SharedCache implements KvTier {
  private keys = new Float64Array(1 << 16).fill(EMPTY)
  private count = 0

  has(low: number, high: number): boolean {
    const key = keyOf(low, high)
    return this.keys[this.slotOf(key)] === key
  }

  add(low: number, high: number): void {
    const key = keyOf(low, high)
    const slot = this.slotOf(key)
    if (this.keys[slot] === key) return
    this.keys[slot] = key
    if (++this.count * 2 > this.keys.length) this.grow()
  }

  /** Blocks of the chain that are here, contiguous from the first. */
  match({ high, length, low }: BlockChain): number {
    let blocks = 0
    while (blocks < length && this.has(low[blocks]!, high[blocks]!)) blocks++
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
