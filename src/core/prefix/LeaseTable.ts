const slotBits = 20
const slotsMin = 64
const slotsMax = 1 << slotBits
const generationMask = (1 << (31 - slotBits)) - 1
const free = -2

/**
 * What each running request holds of one pod's KV cache. A lease names a slot and its generation in 31 bits, so one
 * that was released before, or that `clear` voided, finds nothing.
 */
export class LeaseTable {
  /** Deepest block held, -1: none; the others are its ancestors. */
  block = new Int32Array(slotsMin)
  /** Blocks of the chain that are settled: held as cached blocks, or given up as not cacheable. */
  settledBlocks = new Int32Array(slotsMin)
  /** Blocks held without a hash. */
  anonymousBlocks = new Uint32Array(slotsMin)
  private generation = new Uint16Array(slotsMin)
  private readonly freeSlots: Array<number> = []
  private slotsUsed = 0

  get byteLength(): number {
    return this.block.length * 14
  }

  get isFull(): boolean {
    return this.freeSlots.length === 0 && this.slotsUsed === slotsMax
  }

  take(block: number, settledBlocks: number, anonymousBlocks: number): number {
    let slot = this.freeSlots.pop()
    if (slot === undefined) {
      if (this.slotsUsed === this.block.length) this.grow()
      slot = this.slotsUsed++
    }
    this.block[slot] = block
    this.settledBlocks[slot] = settledBlocks
    this.anonymousBlocks[slot] = anonymousBlocks
    return (this.generation[slot]! << slotBits) | slot
  }

  /** The slot of an open lease, or -1. */
  slotOf(lease: number): number {
    const slot = lease & (slotsMax - 1)
    if (lease < 0 || slot >= this.slotsUsed || this.block[slot] === free) return -1
    return this.generation[slot] === lease >>> slotBits ? slot : -1
  }

  giveBack(slot: number): void {
    this.block[slot] = free
    this.generation[slot] = (this.generation[slot]! + 1) & generationMask
    this.freeSlots.push(slot)
  }

  /** Voids every open lease. */
  clear(): void {
    for (let slot = 0; slot < this.slotsUsed; slot++) {
      if (this.block[slot] !== free) this.giveBack(slot)
    }
  }

  /** Calls back with the deepest block of each open lease. */
  forEachBlock(visit: (block: number) => void): void {
    for (let slot = 0; slot < this.slotsUsed; slot++) {
      if (this.block[slot]! >= 0) visit(this.block[slot]!)
    }
  }

  private grow(): void {
    const length = this.block.length * 2
    const { anonymousBlocks, block, generation, settledBlocks } = this
    this.block = new Int32Array(length)
    this.block.set(block)
    this.settledBlocks = new Int32Array(length)
    this.settledBlocks.set(settledBlocks)
    this.anonymousBlocks = new Uint32Array(length)
    this.anonymousBlocks.set(anonymousBlocks)
    this.generation = new Uint16Array(length)
    this.generation.set(generation)
  }
}
