const slotsMin = 256
/** `prev` of a block that requests hold: it is in no list, and `next` counts the holders. */
const held = -2
/** `prev` of a block that waits in the free queue as its head. */
const none = -1

const HASHED = 1
const COMPUTED = 2

/**
 * The blocks of one pod as columns: a hash table over the cached ones, and vLLM's free queue, a doubly linked list in
 * which the head is reused first. Knows neither requests nor capacity; see ShadowKv for those.
 * Columns start small and double, since most pods use their capacity only after a while. 25 bytes a block.
 */
export class BlockPool {
  low = new Uint32Array(slotsMin)
  high = new Uint32Array(slotsMin)
  /** The block before it in its prompt; -1: it is the first. */
  parent = new Int32Array(slotsMin)
  /** Last use, seconds on the caller's clock. */
  usedAtS = new Float32Array(slotsMin)
  private prev = new Int32Array(slotsMin)
  private next = new Int32Array(slotsMin)
  private flags = new Uint8Array(slotsMin)

  /** Blocks with a hash, held or queued. */
  hashedCount = 0
  heldCount = 0
  queuedCount = 0
  /** Next to be reused, -1 when the queue is empty. */
  head = none
  private tail = none

  /** Slots ever used; blank ones among them are chained by `next` from `blank`. */
  private slotsUsed = 0
  private blank = none
  /** Block + 1 by hash, 0 for empty. Linear probing, at most three quarters full. */
  private table = new Int32Array(slotsMin * 2)

  get byteLength(): number {
    return this.low.length * 25 + this.table.length * 4
  }

  /** The cached block of a hash, or -1. */
  find(low: number, high: number): number {
    const mask = this.table.length - 1
    for (let slot = low & mask;; slot = (slot + 1) & mask) {
      const block = this.table[slot]! - 1
      if (block < 0 || (this.low[block] === low && this.high[block] === high)) return block
    }
  }

  isHashed(block: number): boolean {
    return (this.flags[block]! & HASHED) !== 0
  }

  isComputed(block: number): boolean {
    return (this.flags[block]! & COMPUTED) !== 0
  }

  setComputed(block: number): void {
    this.flags[block]! |= COMPUTED
  }

  /** Blocks in the queue's order, the next to be reused first; -1 ends it. */
  after(block: number): number {
    return this.next[block]!
  }

  /** A new cached block with one holder. Its hash must not be cached yet. */
  createHeld(low: number, high: number, parent: number, nowS: number, slotsMax: number): number {
    const block = this.createHashed(low, high, parent, slotsMax)
    this.usedAtS[block] = nowS
    this.prev[block] = held
    this.next[block] = 1
    this.heldCount++
    return block
  }

  /** A computed block without holders at the head of the queue; for restoring from the newest to the oldest. */
  createFirst(low: number, high: number, parent: number, usedAtS: number, slotsMax: number): number {
    const block = this.createHashed(low, high, parent, slotsMax)
    this.usedAtS[block] = usedAtS
    this.flags[block]! |= COMPUTED
    this.prepend(block)
    return block
  }

  createAnonymousFirst(usedAtS: number, slotsMax: number): void {
    const block = this.takeSlot(slotsMax)
    this.usedAtS[block] = usedAtS
    this.prepend(block)
  }

  /** A block whose hash we can't know (generated text), at the end of the queue. */
  createAnonymousLast(usedAtS: number, slotsMax: number): void {
    this.append(this.takeSlot(slotsMax), usedAtS)
  }

  /** One more holder; leaves the queue. */
  hold(block: number, nowS: number): void {
    this.usedAtS[block] = nowS
    if (this.prev[block] === held) {
      this.next[block]!++
      return
    }
    this.unlink(block)
    this.prev[block] = held
    this.next[block] = 1
    this.heldCount++
  }

  /** One holder less; returns those left. At 0 the caller must `append` or `remove` it. */
  unhold(block: number): number {
    const holders = --this.next[block]!
    if (holders === 0) this.heldCount--
    return holders
  }

  /** To the end of the queue: reused last. */
  append(block: number, nowS: number): void {
    this.usedAtS[block] = nowS
    this.prev[block] = this.tail
    this.next[block] = none
    if (this.tail === none) this.head = block
    else this.next[this.tail] = block
    this.tail = block
    this.queuedCount++
  }

  /** Takes the head out of the queue; the caller must `remove` it then. */
  unlinkHead(): number {
    const block = this.head
    this.unlink(block)
    return block
  }

  /** Forgets a block that nobody holds and that is in no queue. */
  remove(block: number): void {
    if (this.isHashed(block)) {
      this.unmap(block)
      this.hashedCount--
    }
    this.flags[block] = 0
    this.next[block] = this.blank
    this.blank = block
  }

  /** Calls back for each cached block, in no order. */
  forEachHashed(visit: (low: number, high: number) => void): void {
    for (const entry of this.table) {
      if (entry > 0) visit(this.low[entry - 1]!, this.high[entry - 1]!)
    }
  }

  private createHashed(low: number, high: number, parent: number, slotsMax: number): number {
    const block = this.takeSlot(slotsMax)
    this.low[block] = low
    this.high[block] = high
    this.parent[block] = parent
    this.flags[block] = HASHED
    this.hashedCount++
    if (this.hashedCount * 4 > this.table.length * 3) this.growTable()
    this.map(block)
    return block
  }

  private prepend(block: number): void {
    this.prev[block] = none
    this.next[block] = this.head
    if (this.head === none) this.tail = block
    else this.prev[this.head] = block
    this.head = block
    this.queuedCount++
  }

  private unlink(block: number): void {
    const before = this.prev[block]!
    const after = this.next[block]!
    if (before === none) this.head = after
    else this.next[before] = after
    if (after === none) this.tail = before
    else this.prev[after] = before
    this.queuedCount--
  }

  private takeSlot(slotsMax: number): number {
    const block = this.blank
    if (block !== none) {
      this.blank = this.next[block]!
      return block
    }
    if (this.slotsUsed === this.low.length) this.growColumns(slotsMax)
    return this.slotsUsed++
  }

  private map(block: number): void {
    const mask = this.table.length - 1
    let slot = this.low[block]! & mask
    while (this.table[slot] !== 0) slot = (slot + 1) & mask
    this.table[slot] = block + 1
  }

  /** Closes the gap by moving later entries of the probe run back, so that no tombstone is needed. */
  private unmap(block: number): void {
    const { low, table } = this
    const mask = table.length - 1
    let hole = low[block]! & mask
    while (table[hole] !== block + 1) hole = (hole + 1) & mask
    for (let slot = (hole + 1) & mask; table[slot] !== 0; slot = (slot + 1) & mask) {
      const home = low[table[slot]! - 1]! & mask
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue
      table[hole] = table[slot]!
      hole = slot
    }
    table[hole] = 0
  }

  private growTable(): void {
    const old = this.table
    this.table = new Int32Array(old.length * 2)
    for (const entry of old) {
      if (entry > 0) this.map(entry - 1)
    }
  }

  private growColumns(slotsMax: number): void {
    const length = Math.max(this.slotsUsed + 1, Math.min(this.slotsUsed * 2, slotsMax))
    const grown = <A extends Uint32Array | Int32Array | Float32Array | Uint8Array>(column: A, bigger: A): A => {
      bigger.set(column)
      return bigger
    }
    this.low = grown(this.low, new Uint32Array(length))
    this.high = grown(this.high, new Uint32Array(length))
    this.parent = grown(this.parent, new Int32Array(length))
    this.usedAtS = grown(this.usedAtS, new Float32Array(length))
    this.prev = grown(this.prev, new Int32Array(length))
    this.next = grown(this.next, new Int32Array(length))
    this.flags = grown(this.flags, new Uint8Array(length))
  }
}
