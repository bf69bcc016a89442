/**
 * A pod's cached blocks in the order in which the pod would reuse them, the next one first. A block's parent always
 * comes later than the block, so every tail of the list is a set of whole prefixes.
 */
export interface SketchBlocks {
  readonly length: number
  readonly low: Uint32Array
  readonly high: Uint32Array
  /** Position of the parent; -1 for a first block, -2 for a block without a hash (generated text). */
  readonly parent: Int32Array
  /** Seconds between a block's last use and the last use of any. */
  readonly ageS: Float32Array
}

export const noParent = -1
export const anonymousBlock = -2

/*
 * Little-endian words, as on every machine that Bun runs on.
 * Header: magic "WRKV", version, segments, blocks, checksum of what follows.
 * Then the segments, each a run of blocks of one age in which every block is the child of the next:
 * length (top bit: no hashes), position of the last block's parent, age (float), then low and high of each block.
 * One request's prompt is one segment, so a block costs 8 bytes.
 */
const magic = 0x564b5257
const version = 1
const headerWords = 5
const segmentWords = 3
const anonymousBit = 0x80000000

export const encodeSketch = (blocks: SketchBlocks): Uint8Array => {
  const { ageS, high, length, low, parent } = blocks
  let segments = 0
  let hashed = 0
  for (let i = 0; i < length; i++) {
    if (parent[i] !== anonymousBlock) hashed++
    if (!continuesSegment(blocks, i)) segments++
  }
  const words = new Uint32Array(headerWords + segments * segmentWords + hashed * 2)
  const floats = new Float32Array(words.buffer)
  let at = headerWords
  for (let i = 0; i < length;) {
    let end = i + 1
    while (end < length && continuesSegment(blocks, end)) end++
    const anonymous = parent[i] === anonymousBlock
    words[at] = (end - i) | (anonymous ? anonymousBit : 0)
    words[at + 1] = parent[end - 1]!
    floats[at + 2] = ageS[i]!
    at += segmentWords
    for (; i < end; i++) {
      if (anonymous) continue
      words[at++] = low[i]!
      words[at++] = high[i]!
    }
  }
  words.set([magic, version, segments, length])
  words[4] = checksum(words)
  return new Uint8Array(words.buffer)
}

const continuesSegment = ({ ageS, parent }: SketchBlocks, i: number): boolean => {
  if (i === 0 || ageS[i] !== ageS[i - 1]) return false
  const before = parent[i - 1]
  return parent[i] === anonymousBlock ? before === anonymousBlock : before === i
}

/** Checks everything; the text says why the bytes are refused. More than `blocksMax` blocks are refused. */
export const decodeSketch = (bytes: Uint8Array, blocksMax: number): SketchBlocks | string => {
  if (bytes.length < headerWords * 4) return `the sketch is cut off: ${bytes.length} bytes`
  // Copied, since a blob out of a database may lie at any offset; `slice` of a Buffer would copy nothing.
  const words = new Uint32Array(new Uint8Array(bytes.subarray(0, bytes.length & ~3)).buffer)
  if (words[0] !== magic) return "the bytes are not a sketch"
  if (words[1] !== version) return `the sketch has format version ${words[1]}, this gateway reads version ${version}`
  if (bytes.length % 4 !== 0 || checksum(words) !== words[4]) return "the sketch is damaged (checksum)"
  const segments = words[2]!
  const length = words[3]!
  if (length > blocksMax) return `the sketch has ${length} blocks, more than the limit of ${blocksMax}`
  return decodeSegments(words, segments, length)
}

const decodeSegments = (words: Uint32Array, segments: number, length: number): SketchBlocks | string => {
  const floats = new Float32Array(words.buffer)
  const low = new Uint32Array(length)
  const high = new Uint32Array(length)
  const parent = new Int32Array(length)
  const ageS = new Float32Array(length)
  let at = headerWords
  let position = 0
  for (let segment = 0; segment < segments; segment++) {
    if (at + segmentWords > words.length) return "the sketch is cut off inside a segment"
    const kind = words[at]!
    const anonymous = kind >= anonymousBit
    const end = position + (anonymous ? kind - anonymousBit : kind)
    const lastParent = words[at + 1]! | 0
    const age = floats[at + 2]!
    at += segmentWords
    if (end === position || end > length) return "the sketch has a segment of impossible length"
    if (!anonymous && at + (end - position) * 2 > words.length) return "the sketch is cut off inside a segment"
    if (!(age >= 0 && age < Infinity)) return "the sketch has an impossible age"
    const parentFits = anonymous
      ? lastParent === anonymousBlock
      : lastParent === noParent || (lastParent >= end && lastParent < length)
    if (!parentFits) return "the sketch has a block whose parent does not follow it"
    for (; position < end; position++) {
      ageS[position] = age
      parent[position] = anonymous || position === end - 1 ? lastParent : position + 1
      if (anonymous) continue
      low[position] = words[at++]!
      high[position] = words[at++]!
    }
  }
  if (position !== length || at !== words.length) return "the sketch's counts do not fit its size"
  for (const of of parent) {
    if (of >= 0 && parent[of] === anonymousBlock) return "the sketch has a parent without a hash"
  }
  return { length, low, high, parent, ageS }
}

/** Of the counts and the segments; catches torn and damaged blobs, not forged ones. */
const checksum = (words: Uint32Array): number => {
  let h = Math.imul(words[2]!, 0x9e3779b1) ^ words[3]!
  for (let at = headerWords; at < words.length; at++) {
    h = Math.imul(h ^ words[at]!, 0x85ebca77)
    h = (h << 13) | (h >>> 19)
  }
  return h >>> 0
}
