import type { BlockChain } from "../BlockChain.ts"
import { HashDirectory } from "./HashDirectory.ts"
import { RowMasks } from "./RowMasks.ts"

export interface PrefixIndexOptions {
  /** Rows of the pod table, at most 65,535. */
  readonly rowsMax: number
  /** Distinct blocks kept over all pods; one more is refused. */
  readonly entriesMax: number
}

/** Every block at a multiple of this position is found by its hash, so a walk along children is never longer. */
export const anchorBlocks = 16

const singleHoldersEnd = 65536
const chunkBits = 14
const nodesPerChunk = 1 << chunkBits
const inChunk = nodesPerChunk - 1
// Words of a node.
const LOW = 0
const HIGH = 1
/** Parent node + 1; the next free node + 1 in a free one. */
const PARENT = 2
/** The child that is found without its hash, + 1; the sign bit says that there were others, to be found by hash. */
const CHILD = 3
const othersBit = 1 << 31
/** 0: nobody. 1..65535: the only holder's row + 1. Above: a mask of rows + 65536. */
const HOLDER = 4
/** Blocks before it in its chain. */
const POSITION = 5
const nodeWords = 6

/** Nodes are named by 31 bits. */
const boundOf = (entriesMax: number): number => Math.min(entriesMax, 2 ** 30)

/**
 * Which pods hold a block: one trie over the shadows of all pods, so that a pick asks once a block and not once a pod.
 * A node is a distinct block. A block's first child is linked from it; all other children, and one block in
 * `anchorBlocks`, are found by hash. So a prompt of 500 new blocks costs some 32 hash table entries, not 500, and the
 * rest are writes to neighbouring memory.
 *
 * Relies on the shadows being prefix-closed: a pod that holds a block holds its ancestors. Hashes may collide, by
 * chance or because a client made them: a node counts only below the parent and at the position that it was made for,
 * and a second block of the same hash is refused, so the trie stays a trie and the worst is a wrong guess.
 * One file, since walks and changes alike read the words of the nodes in place.
 */
export class PrefixIndex {
  readonly rowsMax: number
  entriesMax: number
  /** Words of a row bitmask, such as the candidate mask of `match`. */
  readonly maskWords: number
  /** Distinct blocks. */
  entryCount = 0
  /** Adds refused because `entriesMax` was reached. */
  refusedAdds = 0

  private readonly directory = new HashDirectory()
  private readonly masks: RowMasks
  private readonly chunks: Array<Int32Array> = []
  private nodesUsed = 0
  /** Head of the free nodes, + 1. */
  private free = 0

  private readonly alive: Uint32Array
  private aliveCount = 0
  /** The only live row, when `aliveCount` is 1. */
  private aliveRow = 0

  constructor(options: PrefixIndexOptions) {
    if (!(options.rowsMax < singleHoldersEnd)) throw new RangeError(`rowsMax ${options.rowsMax} is above 65535`)
    this.rowsMax = options.rowsMax
    this.entriesMax = boundOf(options.entriesMax)
    this.masks = new RowMasks(options.rowsMax)
    this.maskWords = this.masks.stride
    this.alive = new Uint32Array(this.maskWords)
  }

  /** From now on; blocks beyond a smaller bound stay until their pods drop them. */
  resize(entriesMax: number): void {
    this.entriesMax = boundOf(entriesMax)
  }

  /** Memory of the tables in bytes, without object headers. */
  get byteLength(): number {
    return this.directory.byteLength + this.masks.byteLength + this.chunks.length * nodesPerChunk * nodeWords * 4
  }

  /** The node of the block at `position`, a multiple of `anchorBlocks`, or -1. */
  anchor(position: number, low: number, high: number): number {
    const node = this.directory.find(low, high)
    return node >= 0 && this.read(node, POSITION) === position ? node : -1
  }

  /** The node of the block that follows `node` in a chain, or -1. */
  child(node: number, low: number, high: number): number {
    const children = this.read(node, CHILD)
    const linked = (children & ~othersBit) - 1
    if (linked >= 0) {
      const words = this.chunks[linked >>> chunkBits]!
      const at = (linked & inChunk) * nodeWords
      if (words[at] === (low | 0) && words[at + HIGH] === (high | 0)) return linked
    }
    if (children >= 0) return -1
    const found = this.directory.find(low, high)
    return found >= 0 && this.parent(found) === node ? found : -1
  }

  /** Rows that hold the node. */
  holderCount(node: number): number {
    const holder = this.read(node, HOLDER)
    if (holder < singleHoldersEnd) return holder === 0 ? 0 : 1
    const words = this.masks.words(holder - singleHoldersEnd)
    const base = this.masks.base(holder - singleHoldersEnd)
    let count = 0
    for (let w = 0; w < this.maskWords; w++) count += bitCount(words[base + w]!)
    return count
  }

  low(node: number): number {
    return this.read(node, LOW)
  }

  high(node: number): number {
    return this.read(node, HIGH)
  }

  /** The node of the block before it, -1 for a first block. */
  parent(node: number): number {
    return this.read(node, PARENT) - 1
  }

  /**
   * A row holds the block at `position` below the node `parent` (-1 at position 0), which the row must hold. Returns
   * the node; -1 when the index is full or has the hash elsewhere: the block must not count as cached then. Adding
   * twice is harmless.
   */
  add(parent: number, position: number, low: number, high: number, row: number): number {
    const anchored = position % anchorBlocks === 0
    const node = anchored ? this.directory.find(low, high) : this.child(parent, low, high)
    if (node < 0) return this.create(parent, position, low, high, row)
    if (this.parent(node) !== parent) return this.refuse()
    const holder = this.read(node, HOLDER)
    if (holder >= singleHoldersEnd) {
      this.masks.set(holder - singleHoldersEnd, row)
    } else if (holder !== row + 1) {
      const mask = this.masks.take()
      this.masks.set(mask, holder - 1)
      this.masks.set(mask, row)
      this.write(node, HOLDER, mask + singleHoldersEnd)
    }
    return node
  }

  /** A row no longer holds a node, nor any below it. */
  remove(node: number, row: number): void {
    const holder = this.read(node, HOLDER)
    if (holder >= singleHoldersEnd) {
      const only = this.masks.clear(holder - singleHoldersEnd, row)
      if (only >= 0) this.write(node, HOLDER, only + 1)
    } else if (holder === row + 1) {
      this.destroy(node)
    }
  }

  /**
   * For each candidate row the blocks of the chain that its pod holds, contiguous from the first; 0 for other rows.
   * `candidateMask` has `maskWords` words, row r is bit r % 32 of word r / 32; `hitBlocks` has `rowsMax` entries.
   * Gallops over the anchors to the next that some live row lacks, then walks the blocks before it. No allocation.
   */
  match(chain: BlockChain, candidateMask: Uint32Array, hitBlocks: Uint32Array): void {
    const { length } = chain
    hitBlocks.fill(0)
    this.start(candidateMask)
    let depth = 0
    while (this.aliveCount > 0 && depth < length) {
      // Every live row holds the blocks before `depth`, a multiple of `anchorBlocks`.
      depth = this.lastSharedAnchor(chain, depth)
      let node = this.anchor(depth, chain.low[depth]!, chain.high[depth]!)
      const end = Math.min(depth + anchorBlocks, length)
      for (;;) {
        const holder = node < 0 ? 0 : this.read(node, HOLDER)
        if (!this.heldByAllAlive(holder)) this.drop(holder, depth, hitBlocks)
        depth++
        if (this.aliveCount === 0 || depth === end) break
        node = this.child(node, chain.low[depth]!, chain.high[depth]!)
      }
    }
    if (this.aliveCount > 0) this.drop(0, length, hitBlocks)
  }

  /** Position of the last anchor from `from` on that every live row holds; `from` itself when there is none. */
  private lastSharedAnchor(chain: BlockChain, from: number): number {
    const { high, length, low } = chain
    let shared = from
    let lacking = from + anchorBlocks * Math.ceil((length - from) / anchorBlocks)
    let probe = from
    for (let step = anchorBlocks; probe < lacking; step += step) {
      if (!this.anchorHeldByAllAlive(probe, low[probe]!, high[probe]!)) {
        lacking = probe
        break
      }
      shared = probe
      probe += step
    }
    while (lacking - shared > anchorBlocks) {
      probe = shared + anchorBlocks * (((lacking - shared) / anchorBlocks) >>> 1)
      if (this.anchorHeldByAllAlive(probe, low[probe]!, high[probe]!)) shared = probe
      else lacking = probe
    }
    return shared
  }

  private start(candidateMask: Uint32Array): void {
    let count = 0
    for (let w = 0; w < this.maskWords; w++) {
      const word = candidateMask[w]!
      this.alive[w] = word
      if (word !== 0) count += bitCount(word)
    }
    this.aliveCount = count
    if (count === 1) this.findAliveRow()
  }

  private anchorHeldByAllAlive(position: number, low: number, high: number): boolean {
    const node = this.anchor(position, low, high)
    return node >= 0 && this.heldByAllAlive(this.read(node, HOLDER))
  }

  private heldByAllAlive(holder: number): boolean {
    if (holder < singleHoldersEnd) return this.aliveCount === 1 && holder === this.aliveRow + 1
    const words = this.masks.words(holder - singleHoldersEnd)
    const base = this.masks.base(holder - singleHoldersEnd)
    if (this.aliveCount === 1) return (words[base + (this.aliveRow >>> 5)]! & (1 << this.aliveRow)) !== 0
    for (let w = 0; w < this.maskWords; w++) {
      if ((this.alive[w]! & ~words[base + w]!) !== 0) return false
    }
    return true
  }

  /** Ends the live rows that `holder` does not name: they hold `depth` blocks. */
  private drop(holder: number, depth: number, hitBlocks: Uint32Array): void {
    const shared = holder >= singleHoldersEnd
    const words = shared ? this.masks.words(holder - singleHoldersEnd) : this.alive
    const base = shared ? this.masks.base(holder - singleHoldersEnd) : 0
    let count = 0
    for (let w = 0; w < this.maskWords; w++) {
      const before = this.alive[w]!
      if (before === 0) continue
      const held = shared ? words[base + w]! : holder !== 0 && (holder - 1) >>> 5 === w ? 1 << (holder - 1) : 0
      // At depth 0 their entry is right already, and that is where most rows end.
      for (let gone = depth > 0 ? before & ~held : 0; gone !== 0; gone &= gone - 1) {
        hitBlocks[w * 32 + (31 - Math.clz32(gone & -gone))] = depth
      }
      const after = before & held
      this.alive[w] = after
      if (after !== 0) count += bitCount(after)
    }
    this.aliveCount = count
    if (count === 1) this.findAliveRow()
  }

  private findAliveRow(): void {
    let w = 0
    while (this.alive[w] === 0) w++
    this.aliveRow = w * 32 + (31 - Math.clz32(this.alive[w]!))
  }

  private create(parent: number, position: number, low: number, high: number, row: number): number {
    if (this.entryCount >= this.entriesMax) return this.refuse()
    const anchored = position % anchorBlocks === 0
    const node = this.free > 0 ? this.free - 1 : this.nodesUsed
    const siblings = anchored ? 0 : this.read(parent, CHILD)
    if (!anchored && (siblings & ~othersBit) === 0) this.write(parent, CHILD, siblings | (node + 1))
    else if (this.directory.find(low, high) >= 0 || !this.directory.insert(low, high, node)) return this.refuse()
    else if (!anchored) this.write(parent, CHILD, siblings | othersBit)
    if (this.free > 0) this.free = this.read(node, PARENT)
    else this.nodesUsed++
    if (node === this.chunks.length * nodesPerChunk) this.chunks.push(new Int32Array(nodesPerChunk * nodeWords))
    const words = this.chunks[node >>> chunkBits]!
    const at = (node & inChunk) * nodeWords
    words[at] = low
    words[at + HIGH] = high
    words[at + PARENT] = parent + 1
    words[at + CHILD] = 0
    words[at + HOLDER] = row + 1
    words[at + POSITION] = position
    this.entryCount++
    return node
  }

  private destroy(node: number): void {
    const words = this.chunks[node >>> chunkBits]!
    const at = (node & inChunk) * nodeWords
    const parent = words[at + PARENT]! - 1
    const siblings = parent < 0 ? 0 : this.read(parent, CHILD)
    if ((siblings & ~othersBit) === node + 1) this.write(parent, CHILD, siblings & othersBit)
    else this.directory.remove(words[at]!, words[at + HIGH]!)
    words[at + HOLDER] = 0
    words[at + CHILD] = 0
    words[at + PARENT] = this.free
    this.free = node + 1
    this.entryCount--
  }

  private refuse(): number {
    this.refusedAdds++
    return -1
  }

  private read(node: number, word: number): number {
    return this.chunks[node >>> chunkBits]![(node & inChunk) * nodeWords + word]!
  }

  private write(node: number, word: number, value: number): void {
    this.chunks[node >>> chunkBits]![(node & inChunk) * nodeWords + word] = value
  }
}

const bitCount = (x: number): number => {
  x -= (x >>> 1) & 0x55555555
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333)
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
