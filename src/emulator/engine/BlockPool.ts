import type { KvTier } from "./KvTier.ts"

/**
 * The KV blocks of one pod, with vLLM's rules: reference counts, a free queue in LRU order, and blocks that keep
 * their content (and may be hit again) until they are handed out anew.
 * Several blocks may carry the same key, when equal prompts were computed side by side; the oldest answers.
 * All typed arrays: finding, taking and freeing a block allocate nothing.
 */
export class BlockPool {
  readonly blockSizeTokens: number
  /** As vLLM's `num_gpu_blocks`: block 0 is the null block, so one less can be used. */
  readonly blockCount: number
  freeCount: number
  /** Times that a cached block lost its content. */
  evictions = 0
  /** Grows whenever blocks come back, so that a blocked request knows when to look again. */
  releases = 0

  private readonly references: Uint16Array
  private readonly cached: Uint8Array
  private readonly keyLow: Uint32Array
  private readonly keyHigh: Uint32Array
  /** Free queue: a ring through `next`/`previous` with the null block as its head. */
  private readonly next: Int32Array
  private readonly previous: Int32Array
  /** Open addressing, block id or 0; deletion shifts back, so that equal keys stay in order of insertion. */
  private readonly slots: Int32Array
  private readonly slotMask: number

  private readonly tier: KvTier | undefined

  /** What is cached here goes to the `tier` as well. */
  constructor(blockCount: number, blockSizeTokens: number, tier?: KvTier) {
    this.tier = tier
    this.blockCount = blockCount
    this.blockSizeTokens = blockSizeTokens
    this.freeCount = blockCount - 1
    this.references = new Uint16Array(blockCount)
    this.cached = new Uint8Array(blockCount)
    this.keyLow = new Uint32Array(blockCount)
    this.keyHigh = new Uint32Array(blockCount)
    this.next = new Int32Array(blockCount)
    this.previous = new Int32Array(blockCount)
    for (let block = 0; block < blockCount; block++) {
      this.next[block] = (block + 1) % blockCount
      this.previous[block] = (block + blockCount - 1) % blockCount
    }
    let slotCount = 16
    while (slotCount < blockCount * 2) slotCount *= 2
    this.slots = new Int32Array(slotCount)
    this.slotMask = slotCount - 1
  }

  get usableBlocks(): number {
    return this.blockCount - 1
  }

  /** A block that holds this content, or 0. */
  find(low: number, high: number): number {
    let slot = this.home(low, high)
    for (;;) {
      const block = this.slots[slot]!
      if (block === 0) return 0
      if (this.keyLow[block] === low && this.keyHigh[block] === high) return block
      slot = (slot + 1) & this.slotMask
    }
  }

  isFree(block: number): boolean {
    return this.references[block] === 0
  }

  /** One more request uses a block that was found; the null block is nobody's. */
  touch(block: number): void {
    if (block === 0) return
    if (this.references[block] === 0) this.unlink(block)
    this.references[block]!++
  }

  /** Takes the block that was freed longest ago and forgets its content; 0 when none is free. */
  take(): number {
    const block = this.next[0]!
    if (block === 0) return 0
    this.unlink(block)
    if (this.cached[block] === 1) {
      this.forget(block)
      this.evictions++
    }
    this.references[block] = 1
    return block
  }

  /** Names the content of a full block, from now on it can be found. */
  cache(block: number, low: number, high: number): void {
    if (this.cached[block] === 1) return
    this.cached[block] = 1
    this.tier?.add(low, high)
    this.keyLow[block] = low
    this.keyHigh[block] = high
    let slot = this.home(low >>> 0, high >>> 0)
    while (this.slots[slot] !== 0) slot = (slot + 1) & this.slotMask
    this.slots[slot] = block
  }

  /** Gives back the first `count` of a request's blocks, last one first, so that the prompt's beginning is evicted last. */
  release(blocks: Int32Array, count: number): void {
    for (let index = count - 1; index >= 0; index--) {
      const block = blocks[index]!
      if (block === 0) continue
      if (--this.references[block]! === 0) this.append(block)
    }
    this.releases++
  }

  /** Forgets all cached content; refused while a request still holds blocks, as vLLM does. */
  reset(): boolean {
    if (this.freeCount !== this.usableBlocks) return false
    this.cached.fill(0)
    this.slots.fill(0)
    return true
  }

  private home(low: number, high: number): number {
    return (Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b) >>> 7) & this.slotMask
  }

  private unlink(block: number): void {
    const next = this.next[block]!
    const previous = this.previous[block]!
    this.next[previous] = next
    this.previous[next] = previous
    this.freeCount--
  }

  private append(block: number): void {
    const last = this.previous[0]!
    this.next[last] = block
    this.previous[block] = last
    this.next[block] = 0
    this.previous[0] = block
    this.freeCount++
  }

  private forget(block: number): void {
    this.cached[block] = 0
    let slot = this.home(this.keyLow[block]!, this.keyHigh[block]!)
    while (this.slots[slot] !== block) slot = (slot + 1) & this.slotMask
    let hole = slot
    for (;;) {
      slot = (slot + 1) & this.slotMask
      const moving = this.slots[slot]!
      if (moving === 0) break
      const home = this.home(this.keyLow[moving]!, this.keyHigh[moving]!)
      // An entry may fill the hole only if its home is not behind the hole on the way round.
      if (((slot - home) & this.slotMask) >= ((slot - hole) & this.slotMask)) {
        this.slots[hole] = moving
        hole = slot
      }
    }
    this.slots[hole] = 0
  }
}
