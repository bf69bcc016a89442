import type { BlockChain } from "../BlockChain.ts"
import { BlockPool } from "./BlockPool.ts"
import { LeaseTable } from "./LeaseTable.ts"
import { restoreSketch, sketchOf } from "./poolSketch.ts"
import { anchorBlocks, type PrefixIndex } from "./PrefixIndex.ts"
import type { ReuseAges } from "./ReuseAges.ts"

/**
 * A replica of one pod's KV block pool, learned from what we send there: what the pod probably has cached, and what it
 * will throw out next. Follows vLLM's v1 block manager:
 * - a request holds the blocks of its prompt; a held block is never evicted;
 * - ended requests free their blocks from the tail to the front, into a queue whose head is reused first;
 * - generated blocks are freed before those of the prompt, they lie deeper; their hash is unknown to us, so they only
 *   take room in the queue;
 * - a partial last block has no hash and goes to the front when freed (vLLM 0.24 on), so it is plain room again;
 * - hit blocks leave the queue.
 * It differs in two points, both on the safe side: a block is cached once, not once for each request that computed it
 * at the same time; and what a request computed before it died without a first token is dropped.
 *
 * Kept true at all times: if a block is cached so are its ancestors, and the queue has children before their parents.
 * `capacityBlocks` is what requests can use: vLLM keeps one of its `num_gpu_blocks` for itself.
 * Times are seconds of a clock that starts near 0, kept as 32-bit floats. One file, since all that takes or gives a block
 * must keep both true.
 */
export class ShadowKv {
  readonly row: number
  capacityBlocks: number
  /** Blocks that the last `admit` put into the cache. */
  admittedNewBlocks = 0
  /** Blocks that found no room because running requests held everything; counts up. */
  overflowBlocks = 0

  private readonly index: PrefixIndex
  private pool = new BlockPool()
  private readonly leases = new LeaseTable()
  private anonymousHeld = 0
  /** Deepest block that the last `matchBlocks` found, -1: none. */
  private matchedBlock = -1
  private matchedNode = -1
  /** Result of the last `insert` beside the deepest block: blocks of the chain that are settled. */
  private settledBlocks = 0

  constructor(row: number, index: PrefixIndex, capacityBlocks: number) {
    if (!(row >= 0 && row < index.rowsMax)) throw new RangeError(`row ${row} is outside the index`)
    this.row = row
    this.index = index
    this.capacityBlocks = this.boundedCapacity(capacityBlocks)
  }

  /** Blocks that running requests hold, shared ones counted once, blocks without a hash included. */
  get usedBlocks(): number {
    return this.pool.heldCount + this.anonymousHeld
  }

  /** Blocks that a prompt can hit. */
  get cachedBlocks(): number {
    return this.pool.cachedCount
  }

  /** Last use of the block that goes next; NaN when nothing can go. */
  get evictionStampS(): number {
    return this.pool.head < 0 ? NaN : this.pool.usedAtS[this.pool.head]!
  }

  /**
   * Cached blocks that `blocks` new ones would push out, each weighed by the chance that it is asked for again and
   * shared with the other pods that hold it. `lookAtMax` are looked at, the rest count as these do.
   */
  evictionLoss(blocks: number, lookAtMax: number, nowS: number, reuse: ReuseAges): number {
    const { index, pool } = this
    const pushedOut = Math.min(blocks - (this.capacityBlocks - this.occupiedBlocks), pool.queuedCount)
    let looked = 0
    let loss = 0
    for (let block = pool.head; block >= 0 && looked < pushedOut && looked < lookAtMax; block = pool.after(block)) {
      looked++
      if (pool.isCached(block)) {
        loss += reuse.chance(nowS - pool.usedAtS[block]!, nowS) / index.holderCount(pool.node[block]!)
      }
    }
    return looked === 0 ? 0 : (loss * pushedOut) / looked
  }

  get byteLength(): number {
    return this.pool.byteLength + this.leases.byteLength
  }

  /** Cached blocks of the chain, contiguous from the first. */
  matchBlocks(chain: BlockChain): number {
    const { high, length, low } = chain
    const { index, pool } = this
    this.matchedBlock = -1
    this.matchedNode = -1
    let depth = this.matchAnchors(chain)
    while (depth < length && depth % anchorBlocks !== 0) {
      const node = index.child(this.matchedNode, low[depth]!, high[depth]!)
      const block = node < 0 ? -1 : pool.childOf(this.matchedBlock, node)
      if (block < 0) break
      this.matchedNode = node
      this.matchedBlock = block
      depth++
    }
    return depth
  }

  /** Blocks up to the last cached anchor; a cached block vouches for all before it, so it gallops, then bisects. */
  private matchAnchors(chain: BlockChain): number {
    const { high, length, low } = chain
    let matched = 0
    let lacking = Math.ceil(length / anchorBlocks)
    for (let step = 1, probe = 0; matched < lacking; step += step) {
      if (probe >= lacking) probe = (matched + lacking) >>> 1
      const position = probe * anchorBlocks
      const node = this.index.anchor(position, low[position]!, high[position]!)
      const block = node < 0 ? -1 : this.pool.anchor(node)
      if (block >= 0) {
        this.matchedNode = node
        this.matchedBlock = block
        matched = probe + 1
        probe += step
      } else {
        lacking = probe
      }
    }
    return matched === 0 ? 0 : (matched - 1) * anchorBlocks + 1
  }

  /**
   * A request starts there: holds its cached blocks, caches the others in the place of the least recently used ones,
   * and takes `extraBlocks` without a hash for the partial tail. The lease goes to `release`; -1: it holds nothing.
   */
  admit(chain: BlockChain, extraBlocks: number, nowS: number): number {
    this.admittedNewBlocks = 0
    if (this.leases.isFull) {
      this.overflowBlocks += chain.length
      return -1
    }
    const matched = this.matchBlocks(chain)
    this.holdUpwards(this.matchedBlock, matched, nowS)
    const anonymousBefore = this.anonymousHeld
    const deepest = this.insert(chain, matched, this.matchedBlock, nowS)
    this.holdAnonymous(extraBlocks)
    const anonymous = this.anonymousHeld - anonymousBefore
    return deepest < 0 && anonymous === 0 ? -1 : this.leases.take(deepest, this.settledBlocks, anonymous)
  }

  /**
   * The pod gave the request's first token, so all of its prompt is there: blocks that found no room at the pick are
   * cached now, and they all stay cached whatever becomes of the request.
   */
  prefilled(lease: number, chain: BlockChain, nowS: number): void {
    const slot = this.leases.slotOf(lease)
    if (slot < 0) return
    const settled = this.leases.settledBlocks[slot]!
    if (settled < chain.length) {
      const matched = this.matchBlocks(chain)
      if (matched >= settled) {
        this.holdUpwards(this.matchedBlock, matched - settled, nowS)
        const anonymousBefore = this.anonymousHeld
        this.leases.block[slot] = this.insert(chain, matched, this.matchedBlock, nowS)
        this.leases.settledBlocks[slot] = this.settledBlocks
        this.leases.anonymousBlocks[slot]! += this.anonymousHeld - anonymousBefore
      }
    }
    const { pool } = this
    for (let b = this.leases.block[slot]!; b >= 0 && !pool.isComputed(b); b = pool.parent[b]!) pool.setComputed(b)
  }

  /**
   * The request ended. `computed`: it got its first token; otherwise the blocks that nobody computed are dropped.
   * `outputBlocks`: full blocks of generated text that it leaves behind.
   * False, and nothing is changed, for a lease that was released before or voided by `clear`.
   */
  release(lease: number, computed: boolean, outputBlocks: number, nowS: number): boolean {
    const slot = this.leases.slotOf(lease)
    if (lease !== -1 && slot < 0) return false
    let block = -1
    if (slot >= 0) {
      block = this.leases.block[slot]!
      this.anonymousHeld -= this.leases.anonymousBlocks[slot]!
      this.leases.giveBack(slot)
    }
    if (computed) this.queueOutput(outputBlocks, nowS)
    const { pool } = this
    while (block >= 0) {
      const parent = pool.parent[block]!
      if (computed) pool.setComputed(block)
      if (pool.unhold(block) === 0) {
        if (pool.isComputed(block)) pool.append(block, nowS)
        else this.forget(block)
      }
      block = parent
    }
    this.fitCapacity()
    return true
  }

  /** Takes another capacity; a smaller one evicts at once, and what running requests hold when they end. */
  resize(capacityBlocks: number): void {
    this.capacityBlocks = this.boundedCapacity(capacityBlocks)
    this.fitCapacity()
  }

  /** The pod lost everything. Open leases are void. */
  clear(): void {
    while (this.evict());
    this.leases.forEachBlock((deepest) => {
      for (let block = deepest; block >= 0;) {
        const parent = this.pool.parent[block]!
        if (this.pool.unhold(block) === 0) this.forget(block)
        block = parent
      }
    })
    this.pool = new BlockPool()
    this.leases.clear()
    this.anonymousHeld = 0
  }

  /** What is cached for certain, with the order of eviction; see poolSketch.ts. */
  exportBlocks(): Uint8Array {
    return sketchOf(this.pool, this.leases, this.index, this.capacityBlocks)
  }

  /**
   * Replaces what is there. When there is more than the capacity, what would be evicted first stays out.
   * The text says why the bytes were refused; the shadow is empty then.
   */
  importBlocks(bytes: Uint8Array): string | undefined {
    this.clear()
    const refusal = restoreSketch(bytes, this.pool, this.index, this.row, this.capacityBlocks)
    if (refusal !== undefined) this.clear()
    return refusal
  }

  private get occupiedBlocks(): number {
    return this.pool.heldCount + this.pool.queuedCount + this.anonymousHeld
  }

  /** The index bounds every shadow, so a pod that claims an absurd capacity can't make one grow without end. */
  private boundedCapacity(capacityBlocks: number): number {
    return capacityBlocks > 0 ? Math.floor(Math.min(capacityBlocks, this.index.entriesMax)) : 0
  }

  private holdUpwards(block: number, count: number, nowS: number): void {
    for (let left = count; left > 0 && block >= 0; left--) {
      this.pool.hold(block, nowS)
      block = this.pool.parent[block]!
    }
  }

  /** Caches the chain's blocks after the first `from`, below `parent`; returns the deepest block of the chain held. */
  private insert(chain: BlockChain, from: number, parent: number, nowS: number): number {
    const { high, length, low } = chain
    const { capacityBlocks, index, pool, row } = this
    let room = capacityBlocks - this.occupiedBlocks
    let parentNode = parent < 0 ? -1 : pool.node[parent]!
    let i = from
    for (; i < length; i++) {
      if (room > 0) room--
      else if (!this.evict()) break
      parentNode = index.add(parentNode, i, low[i]!, high[i]!, row)
      if (parentNode < 0) {
        // The pod has these blocks all the same, we only can't know them again.
        this.holdAnonymous(length - i)
        this.admittedNewBlocks = i - from
        this.settledBlocks = length
        return parent
      }
      parent = pool.createHeld(parentNode, parent, i % anchorBlocks === 0, nowS, capacityBlocks)
    }
    this.admittedNewBlocks = i - from
    this.overflowBlocks += length - i
    this.settledBlocks = i
    return parent
  }

  private holdAnonymous(count: number): void {
    let left = count
    for (; left > 0 && this.makeRoom(); left--) this.anonymousHeld++
    this.overflowBlocks += Math.max(0, left)
  }

  /** All are counted before any is freed, so a long output can't evict its own blocks, nor count more than fit. */
  private queueOutput(outputBlocks: number, nowS: number): void {
    const room = Math.max(0, this.capacityBlocks - this.usedBlocks)
    for (let left = Math.min(outputBlocks, room); left >= 1 && this.makeRoom(); left--) {
      this.pool.createAnonymousLast(nowS, this.capacityBlocks)
    }
  }

  private fitCapacity(): void {
    while (this.occupiedBlocks > this.capacityBlocks && this.evict());
  }

  private makeRoom(): boolean {
    return this.occupiedBlocks < this.capacityBlocks || this.evict()
  }

  private evict(): boolean {
    if (this.pool.head < 0) return false
    this.forget(this.pool.unlinkHead())
    return true
  }

  private forget(block: number): void {
    const { pool } = this
    if (pool.isCached(block)) this.index.remove(pool.node[block]!, this.row)
    pool.remove(block)
  }
}
