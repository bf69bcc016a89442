const slotsMin = 256
/** `prev` of a block that requests hold: it is in no list, and `next` counts the holders. */
const held = -2
/** `prev` of a block that waits in the free queue as its head. */
const none = -1

const CACHED = 1
const COMPUTED = 2

/**
 * The blocks of one pod as columns, with vLLM's free queue: a doubly linked list in which the head is reused first.
 * A cached block is known by its node in the PrefixIndex. A block's first child is linked from it; other children, and
 * blocks at anchor positions, are found in a hash table by node. Knows neither requests nor capacity; see ShadowKv.
 * Columns start small and double, since most pods fill their capacity only after a while. 25 bytes a block.
 */
export class BlockPool {
  /** Of a cached block. */
  node = new Int32Array(slotsMin)
  /** The block before it in its prompt; -1: it is the first. */
  parent = new Int32Array(slotsMin)
  /** Last use, seconds on the caller's clock. */
  usedAtS = new Float32Array(slotsMin)
  private child = new Int32Array(slotsMin)
  private prev = new Int32Array(slotsMin)
  private next = new Int32Array(slotsMin)
  private flags = new Uint8Array(slotsMin)

  /** Blocks with a node, held or queued. */
  cachedCount = 0
  heldCount = 0
  queuedCount = 0
  /** Next to be reused, -1 when the queue is empty. */
  head = none
  private tail = none

  /** Slots ever used; blank ones among them are chained by `next` from `blank`. */
  private slotsUsed = 0
  private blank = none
  /** Block + 1 by node, 0 for empty. Linear probing, at most three quarters full. */
  private table = new Int32Array(slotsMin)
  private tableCount = 0
  /** 32 less the bits of the table's size. */
  private tableShift = 32 - Math.log2(slotsMin)

  get byteLength(): number {
    return this.node.length * 25 + this.table.length * 4
  }

  /** The block of an anchor's node, or -1. */
  anchor(node: number): number {
    const { table } = this
    const mask = table.length - 1
    for (let slot = this.homeOf(node);; slot = (slot + 1) & mask) {
      const block = table[slot]! - 1
      if (block < 0 || this.node[block] === node) return block
    }
  }

  /** The block of the node that follows `block` in a chain, or -1. */
  childOf(block: number, node: number): number {
    const linked = this.child[block]!
    return linked >= 0 && this.node[linked] === node ? linked : this.anchor(node)
  }

  isCached(block: number): boolean {
    return (this.flags[block]! & CACHED) !== 0
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

  /** A new cached block with one holder. Its node must not be cached yet. */
  createHeld(node: number, parent: number, anchored: boolean, nowS: number, slotsMax: number): number {
    const block = this.createCached(node, parent, anchored, slotsMax)
    this.usedAtS[block] = nowS
    this.prev[block] = held
    this.next[block] = 1
    this.heldCount++
    return block
  }

  /** A computed block without holders at the head of the queue; for restoring from the newest to the oldest. */
  createFirst(node: number, parent: number, anchored: boolean, usedAtS: number, slotsMax: number): number {
    const block = this.createCached(node, parent, anchored, slotsMax)
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

  /** Forgets a block that nobody holds, that is in no queue and that no cached block follows. */
  remove(block: number): void {
    if (this.isCached(block)) {
      const parent = this.parent[block]!
      if (parent >= 0 && this.child[parent] === block) this.child[parent] = none
      else this.unmap(block)
      this.cachedCount--
    }
    this.flags[block] = 0
    this.next[block] = this.blank
    this.blank = block
  }

  private createCached(node: number, parent: number, anchored: boolean, slotsMax: number): number {
    const block = this.takeSlot(slotsMax)
    this.node[block] = node
    this.parent[block] = parent
    this.child[block] = none
    this.flags[block] = CACHED
    this.cachedCount++
    if (!anchored && this.child[parent] === none) {
      this.child[parent] = block
    } else {
      if (this.tableCount * 4 >= this.table.length * 3) this.growTable()
      this.tableCount++
      this.map(block)
    }
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
    if (this.slotsUsed === this.node.length) this.growColumns(slotsMax)
    return this.slotsUsed++
  }

  /** Fibonacci hashing: nodes are numbered in a row, and this spreads even steps evenly. */
  private homeOf(node: number): number {
    return Math.imul(node, 0x9e3779b1) >>> this.tableShift
  }

  private map(block: number): void {
    const mask = this.table.length - 1
    let slot = this.homeOf(this.node[block]!)
    while (this.table[slot] !== 0) slot = (slot + 1) & mask
    this.table[slot] = block + 1
  }

  /** Closes the gap by moving later entries of the probe run back, so that no tombstone is needed. */
  private unmap(block: number): void {
    const { node, table } = this
    const mask = table.length - 1
    let hole = this.homeOf(node[block]!)
    while (table[hole] !== block + 1) hole = (hole + 1) & mask
    for (let slot = (hole + 1) & mask; table[slot] !== 0; slot = (slot + 1) & mask) {
      const home = this.homeOf(node[table[slot]! - 1]!)
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue
      table[hole] = table[slot]!
      hole = slot
    }
    table[hole] = 0
    this.tableCount--
  }

  private growTable(): void {
    const old = this.table
    this.table = new Int32Array(old.length * 2)
    this.tableShift--
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
    this.node = grown(this.node, new Int32Array(length))
    this.parent = grown(this.parent, new Int32Array(length))
    this.child = grown(this.child, new Int32Array(length))
    this.usedAtS = grown(this.usedAtS, new Float32Array(length))
    this.prev = grown(this.prev, new Int32Array(length))
    this.next = grown(this.next, new Int32Array(length))
    this.flags = grown(this.flags, new Uint8Array(length))
  }
}
