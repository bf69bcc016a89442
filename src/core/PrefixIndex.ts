import type { BlockChain } from "./BlockChain.ts"

export interface PrefixIndexOptions {
  /** Rows of the pod table, at most 65,535. */
  readonly rowsMax: number
  /** Distinct block hashes kept over all pods; one more is refused. */
  readonly entriesMax: number
}

const segmentSlots = 4096
/** Words of a slot: low lane, high lane, holder. */
const slotWords = 3
/** A full segment is split: linear probing stays under 9 probes for a miss at three quarters. */
const segmentEntriesMax = (segmentSlots * 3) / 4
/** Deeper splits mean hashes that are not random; they are refused instead of exhausting memory. */
const depthMax = 18
const singleHoldersEnd = 65536
const masksPerChunk = 1024
const noMask = 0xffffffff

/**
 * An open-addressing table of fixed size for the hashes that share their first `depth` bits.
 * The table as a whole grows by splitting one segment (some 40 µs), never by rehashing everything.
 */
class Segment {
  readonly words = new Uint32Array(segmentSlots * slotWords)
  depth: number
  count = 0

  constructor(depth: number) {
    this.depth = depth
  }
}

/**
 * Which pods hold a block: one table over the shadows of all pods, so that a pick asks once a block and not once a pod.
 * Extendible hashing: the top bits of the high lane choose a segment, the low lane the slot in it. A hash has one holder
 * word: 0 none, 1..65535 the only holder's row + 1, above that a slot in a pool of row bitmasks.
 *
 * `match` relies on the shadows being prefix-closed: a pod that holds block i of a chain holds every block before it.
 */
export class PrefixIndex {
  readonly rowsMax: number
  readonly entriesMax: number
  /** Words of a row bitmask, such as the candidate mask of `match`. */
  readonly maskWords: number
  entryCount = 0
  /** Adds refused because `entriesMax` was reached. */
  refusedAdds = 0

  private directory: Array<Segment> = [new Segment(1), new Segment(1)]
  /** 32 less the bits of the high lane that index the directory. */
  private directoryShift = 31
  private segmentCount = 2
  private readonly splitScratch = new Uint32Array(segmentSlots * slotWords)

  /** Row bitmasks in chunks, so that growing copies nothing; a free one keeps the next free one in its first word. */
  private readonly maskChunks: Array<Uint32Array> = []
  private masksUsed = 0
  private freeMask = noMask

  private readonly alive: Uint32Array
  private aliveCount = 0
  /** The only live row, when `aliveCount` is 1. */
  private aliveRow = 0

  constructor(options: PrefixIndexOptions) {
    if (!(options.rowsMax < singleHoldersEnd)) throw new RangeError(`rowsMax ${options.rowsMax} is above 65535`)
    this.rowsMax = options.rowsMax
    this.entriesMax = options.entriesMax
    this.maskWords = Math.ceil(options.rowsMax / 32)
    this.alive = new Uint32Array(this.maskWords)
  }

  /** Memory of the tables in bytes, without object headers. */
  get byteLength(): number {
    const segmentBytes = segmentSlots * slotWords * 4
    const maskBytes = this.maskChunks.length * masksPerChunk * this.maskWords * 4
    return (this.segmentCount + 1) * segmentBytes + this.directory.length * 8 + maskBytes
  }

  /** False when the index is full: the block must not count as cached then. Adding twice is harmless. */
  add(low: number, high: number, row: number): boolean {
    const segment = this.segmentOf(high)
    const at = locate(segment.words, low, high)
    const holder = segment.words[at + 2]!
    if (holder === 0) return this.addFirst(segment, at, low, high, row)
    if (holder >= singleHoldersEnd) {
      this.setRow(holder - singleHoldersEnd, row)
    } else if (holder !== row + 1) {
      const mask = this.takeMask()
      this.setRow(mask, holder - 1)
      this.setRow(mask, row)
      segment.words[at + 2] = mask + singleHoldersEnd
    }
    return true
  }

  /** Removing what a row does not hold is harmless. */
  remove(low: number, high: number, row: number): void {
    const segment = this.segmentOf(high)
    const at = locate(segment.words, low, high)
    const holder = segment.words[at + 2]!
    if (holder >= singleHoldersEnd) {
      const only = this.clearRow(holder - singleHoldersEnd, row)
      if (only >= 0) segment.words[at + 2] = only + 1
    } else if (holder === row + 1) {
      deleteSlot(segment.words, at)
      segment.count--
      this.entryCount--
    }
  }

  /**
   * For each candidate row the blocks of the chain that its pod holds, contiguous from the first; 0 for other rows.
   * `candidateMask` has `maskWords` words, row r is bit r % 32 of word r / 32; `hitBlocks` has `rowsMax` entries.
   * Gallops to the next block that some live row lacks: O(distinct depths × log blocks) lookups, no allocation.
   */
  match(chain: BlockChain, candidateMask: Uint32Array, hitBlocks: Uint32Array): void {
    const { low, high, length } = chain
    hitBlocks.fill(0)
    this.start(candidateMask)
    let depth = 0
    while (this.aliveCount > 0 && depth < length) {
      // Every live row holds the blocks before `depth`; one of them may lack `lacking`.
      let lacking = length
      let probe = depth
      for (let step = 1; probe < lacking; step += step) {
        if (this.heldByAllAlive(low[probe]!, high[probe]!)) {
          depth = probe + 1
          probe += step
        } else {
          lacking = probe
        }
      }
      while (depth < lacking) {
        probe = (depth + lacking) >>> 1
        if (this.heldByAllAlive(low[probe]!, high[probe]!)) depth = probe + 1
        else lacking = probe
      }
      if (depth === length) break
      this.drop(this.holderOf(low[depth]!, high[depth]!), depth, hitBlocks)
      depth++
    }
    if (this.aliveCount > 0) this.drop(0, length, hitBlocks)
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

  private heldByAllAlive(low: number, high: number): boolean {
    const holder = this.holderOf(low, high)
    if (holder < singleHoldersEnd) return this.aliveCount === 1 && holder === this.aliveRow + 1
    const mask = holder - singleHoldersEnd
    const words = this.maskChunks[(mask / masksPerChunk) | 0]!
    const base = (mask % masksPerChunk) * this.maskWords
    if (this.aliveCount === 1) return (words[base + (this.aliveRow >>> 5)]! & (1 << this.aliveRow)) !== 0
    for (let w = 0; w < this.maskWords; w++) {
      if ((this.alive[w]! & ~words[base + w]!) !== 0) return false
    }
    return true
  }

  /** Ends the live rows that `holder` does not name: they hold `depth` blocks. */
  private drop(holder: number, depth: number, hitBlocks: Uint32Array): void {
    const shared = holder >= singleHoldersEnd
    const mask = shared ? holder - singleHoldersEnd : 0
    const words = shared ? this.maskChunks[(mask / masksPerChunk) | 0]! : this.alive
    const base = (mask % masksPerChunk) * this.maskWords
    let count = 0
    for (let w = 0; w < this.maskWords; w++) {
      const before = this.alive[w]!
      if (before === 0) continue
      const held = shared ? words[base + w]! : holder !== 0 && (holder - 1) >>> 5 === w ? 1 << (holder - 1) : 0
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

  private segmentOf(high: number): Segment {
    return this.directory[high >>> this.directoryShift]!
  }

  private holderOf(low: number, high: number): number {
    const { words } = this.directory[high >>> this.directoryShift]!
    return words[locate(words, low, high) + 2]!
  }

  private addFirst(segment: Segment, at: number, low: number, high: number, row: number): boolean {
    if (this.entryCount >= this.entriesMax) return this.refuse()
    while (segment.count >= segmentEntriesMax) {
      if (segment.depth === depthMax) return this.refuse()
      this.split(segment, high)
      segment = this.segmentOf(high)
      at = locate(segment.words, low, high)
    }
    writeSlot(segment.words, at, low, high, row + 1)
    segment.count++
    this.entryCount++
    return true
  }

  private refuse(): boolean {
    this.refusedAdds++
    return false
  }

  /** Gives the upper half of a full segment's hashes a segment of their own. */
  private split(segment: Segment, high: number): void {
    if (32 - this.directoryShift === segment.depth) {
      this.directory = this.directory.flatMap((shared) => [shared, shared])
      this.directoryShift--
    }
    const bit = 0x80000000 >>> segment.depth
    segment.depth++
    const upper = new Segment(segment.depth)
    this.segmentCount++
    // The directory entries of the segment are neighbours; the upper half of them moves over.
    const span = 1 << (32 - this.directoryShift - segment.depth)
    const first = ((high & ~(bit - 1)) | bit) >>> this.directoryShift
    for (let i = first; i < first + span; i++) this.directory[i] = upper
    this.splitScratch.set(segment.words)
    segment.words.fill(0)
    segment.count = 0
    for (let at = 0; at < this.splitScratch.length; at += slotWords) {
      const holder = this.splitScratch[at + 2]!
      if (holder === 0) continue
      const low = this.splitScratch[at]!
      const high = this.splitScratch[at + 1]!
      const target = (high & bit) === 0 ? segment : upper
      writeSlot(target.words, locate(target.words, low, high), low, high, holder)
      target.count++
    }
  }

  private takeMask(): number {
    const free = this.freeMask
    if (free !== noMask) {
      const words = this.maskChunks[(free / masksPerChunk) | 0]!
      const base = (free % masksPerChunk) * this.maskWords
      this.freeMask = words[base]!
      words[base] = 0
      return free
    }
    if (this.masksUsed === this.maskChunks.length * masksPerChunk) {
      this.maskChunks.push(new Uint32Array(masksPerChunk * this.maskWords))
    }
    return this.masksUsed++
  }

  private setRow(mask: number, row: number): void {
    const words = this.maskChunks[(mask / masksPerChunk) | 0]!
    words[(mask % masksPerChunk) * this.maskWords + (row >>> 5)]! |= 1 << row
  }

  /** The row that is left alone in the mask, which is free then; -1 while several are left. */
  private clearRow(mask: number, row: number): number {
    const words = this.maskChunks[(mask / masksPerChunk) | 0]!
    const base = (mask % masksPerChunk) * this.maskWords
    words[base + (row >>> 5)]! &= ~(1 << row)
    let only = -1
    for (let w = 0; w < this.maskWords; w++) {
      const word = words[base + w]!
      if (word === 0) continue
      if (only >= 0 || (word & (word - 1)) !== 0) return -1
      only = w * 32 + (31 - Math.clz32(word))
    }
    words.fill(0, base, base + this.maskWords)
    words[base] = this.freeMask
    this.freeMask = mask
    return only
  }
}

/** Word offset of the slot that holds the hash, or of the empty slot where it belongs. */
const locate = (words: Uint32Array, low: number, high: number): number => {
  let at = (low & (segmentSlots - 1)) * slotWords
  while (words[at + 2] !== 0 && (words[at] !== low || words[at + 1] !== high)) {
    at += slotWords
    if (at === segmentSlots * slotWords) at = 0
  }
  return at
}

const writeSlot = (words: Uint32Array, at: number, low: number, high: number, holder: number): void => {
  words[at] = low
  words[at + 1] = high
  words[at + 2] = holder
}

/** Empties a slot and moves later ones of its probe run back, so that no tombstone is needed. */
const deleteSlot = (words: Uint32Array, at: number): void => {
  const slotMask = segmentSlots - 1
  let hole = at / slotWords
  let slot = hole
  for (;;) {
    slot = (slot + 1) & slotMask
    const from = slot * slotWords
    if (words[from + 2] === 0) break
    const home = words[from]! & slotMask
    // A slot may move back to the hole unless its home lies between the two.
    if (((slot - home) & slotMask) < ((slot - hole) & slotMask)) continue
    writeSlot(words, hole * slotWords, words[from]!, words[from + 1]!, words[from + 2]!)
    hole = slot
  }
  words[hole * slotWords + 2] = 0
}

const bitCount = (x: number): number => {
  x -= (x >>> 1) & 0x55555555
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333)
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
