const segmentSlots = 4096
/** Words of a slot: low lane, high lane, value + 1 (0: empty). */
const slotWords = 3
/** A fuller segment is split: linear probing stays under 9 probes for a miss at three quarters. */
const segmentEntriesMax = (segmentSlots * 3) / 4
/** Deeper splits mean hashes that are not random; they are refused instead of exhausting memory. */
const depthMax = 18

/** An open-addressing table of fixed size for the hashes that share their first `depth` bits. */
class Segment {
  readonly words = new Int32Array(segmentSlots * slotWords)
  depth: number
  count = 0

  constructor(depth: number) {
    this.depth = depth
  }
}

/**
 * A map from 64-bit hashes to small numbers by extendible hashing: the top bits of the high lane choose a segment,
 * the low lane the slot in it. It grows by splitting one segment, well under a millisecond, and never by rehashing
 * everything. It does not shrink. The hashes must be spread evenly already; both lanes are passed as signed integers,
 * which the engine handles without a detour over doubles.
 */
export class HashDirectory {
  private segments: Array<Segment> = [new Segment(1), new Segment(1)]
  /** 32 less the bits of the high lane that index `segments`. */
  private shift = 31
  private segmentCount = 2
  private readonly splitScratch = new Int32Array(segmentSlots * slotWords)

  get byteLength(): number {
    return (this.segmentCount + 1) * segmentSlots * slotWords * 4 + this.segments.length * 8
  }

  /** The value of a hash, or -1. */
  find(low: number, high: number): number {
    const { words } = this.segments[high >>> this.shift]!
    return words[locate(words, low, high) + 2]! - 1
  }

  /** The hash must not be there yet. False: refused, too many hashes start with the same bits. */
  insert(low: number, high: number, value: number): boolean {
    let segment = this.segments[high >>> this.shift]!
    while (segment.count >= segmentEntriesMax) {
      if (segment.depth === depthMax) return false
      this.split(segment, high)
      segment = this.segments[high >>> this.shift]!
    }
    writeSlot(segment.words, locate(segment.words, low, high), low, high, value + 1)
    segment.count++
    return true
  }

  remove(low: number, high: number): void {
    const segment = this.segments[high >>> this.shift]!
    const at = locate(segment.words, low, high)
    if (segment.words[at + 2] === 0) return
    deleteSlot(segment.words, at)
    segment.count--
  }

  /** Gives the upper half of a full segment's hashes a segment of their own. */
  private split(segment: Segment, high: number): void {
    if (32 - this.shift === segment.depth) {
      this.segments = this.segments.flatMap((shared) => [shared, shared])
      this.shift--
    }
    const bit = 0x80000000 >>> segment.depth
    segment.depth++
    const upper = new Segment(segment.depth)
    this.segmentCount++
    // The places of a segment are neighbours; the upper half of them moves over.
    const span = 1 << (32 - this.shift - segment.depth)
    const first = ((high & ~(bit - 1)) | bit) >>> this.shift
    for (let i = first; i < first + span; i++) this.segments[i] = upper
    const { splitScratch } = this
    splitScratch.set(segment.words)
    segment.words.fill(0)
    segment.count = 0
    for (let at = 0; at < splitScratch.length; at += slotWords) {
      if (splitScratch[at + 2] === 0) continue
      const target = (splitScratch[at + 1]! & bit) === 0 ? segment : upper
      const to = locate(target.words, splitScratch[at]!, splitScratch[at + 1]!)
      writeSlot(target.words, to, splitScratch[at]!, splitScratch[at + 1]!, splitScratch[at + 2]!)
      target.count++
    }
  }
}

/** Word offset of the slot that holds the hash, or of the empty slot where it belongs. */
const locate = (words: Int32Array, unsignedLow: number, unsignedHigh: number): number => {
  const low = unsignedLow | 0
  const high = unsignedHigh | 0
  let at = (low & (segmentSlots - 1)) * slotWords
  while (words[at + 2] !== 0 && (words[at] !== low || words[at + 1] !== high)) {
    at += slotWords
    if (at === segmentSlots * slotWords) at = 0
  }
  return at
}

const writeSlot = (words: Int32Array, at: number, low: number, high: number, value: number): void => {
  words[at] = low
  words[at + 1] = high
  words[at + 2] = value
}

/** Empties a slot and moves later ones of its probe run back, so that no tombstone is needed. */
const deleteSlot = (words: Int32Array, at: number): void => {
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
