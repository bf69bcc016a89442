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
 * Little-endian words. Header: magic "WRKV", version, segments, blocks, checksum of what follows.
 * Then the segments, each a run of blocks of one age in which every block is the child of the next:
 * length (top bit: no hashes), position of the last block's parent, age (float), then low and high of each block.
 * One request's prompt is one segment, so a block costs 8 bytes.
 */
const magic = 0x564b5257
const version = 1
const headerBytes = 20
const segmentBytes = 12
const anonymousBit = 0x80000000

export const encodeSketch = (blocks: SketchBlocks): Uint8Array => {
  const { ageS, high, length, low, parent } = blocks
  let segments = 0
  let hashed = 0
  for (let i = 0; i < length; i++) {
    if (parent[i] !== anonymousBlock) hashed++
    if (!continuesSegment(blocks, i)) segments++
  }
  const bytes = new Uint8Array(headerBytes + segments * segmentBytes + hashed * 8)
  const view = new DataView(bytes.buffer)
  let at = headerBytes
  for (let i = 0; i < length;) {
    let end = i + 1
    while (end < length && continuesSegment(blocks, end)) end++
    const anonymous = parent[i] === anonymousBlock
    view.setUint32(at, (end - i) | (anonymous ? anonymousBit : 0), true)
    view.setInt32(at + 4, parent[end - 1]!, true)
    view.setFloat32(at + 8, ageS[i]!, true)
    at += segmentBytes
    for (; i < end; i++) {
      if (anonymous) continue
      view.setUint32(at, low[i]!, true)
      view.setUint32(at + 4, high[i]!, true)
      at += 8
    }
  }
  view.setUint32(0, magic, true)
  view.setUint32(4, version, true)
  view.setUint32(8, segments, true)
  view.setUint32(12, length, true)
  view.setUint32(16, checksum(view), true)
  return bytes
}

const continuesSegment = ({ ageS, parent }: SketchBlocks, i: number): boolean => {
  if (i === 0 || ageS[i] !== ageS[i - 1]) return false
  const before = parent[i - 1]
  return parent[i] === anonymousBlock ? before === anonymousBlock : before === i
}

/** Checks everything; the text says why the bytes are refused. More than `blocksMax` blocks are refused. */
export const decodeSketch = (bytes: Uint8Array, blocksMax: number): SketchBlocks | string => {
  if (bytes.length < headerBytes) return `the sketch is cut off: ${bytes.length} bytes`
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.getUint32(0, true) !== magic) return "the bytes are not a sketch"
  const found = view.getUint32(4, true)
  if (found !== version) return `the sketch has format version ${found}, this gateway reads version ${version}`
  if (bytes.length % 4 !== 0 || checksum(view) !== view.getUint32(16, true)) return "the sketch is damaged (checksum)"
  const segments = view.getUint32(8, true)
  const length = view.getUint32(12, true)
  if (length > blocksMax) return `the sketch has ${length} blocks, more than the limit of ${blocksMax}`
  return decodeSegments(view, segments, length)
}

const decodeSegments = (view: DataView, segments: number, length: number): SketchBlocks | string => {
  const low = new Uint32Array(length)
  const high = new Uint32Array(length)
  const parent = new Int32Array(length)
  const ageS = new Float32Array(length)
  let at = headerBytes
  let position = 0
  for (let segment = 0; segment < segments; segment++) {
    if (at + segmentBytes > view.byteLength) return "the sketch is cut off inside a segment"
    const kind = view.getUint32(at, true)
    const anonymous = kind >= anonymousBit
    const count = anonymous ? kind - anonymousBit : kind
    const lastParent = view.getInt32(at + 4, true)
    const age = view.getFloat32(at + 8, true)
    at += segmentBytes
    const end = position + count
    if (count === 0 || end > length) return "the sketch has a segment of impossible length"
    if (!anonymous && at + count * 8 > view.byteLength) return "the sketch is cut off inside a segment"
    if (!(age >= 0 && age < Infinity)) return "the sketch has an impossible age"
    const parentFits = anonymous
      ? lastParent === anonymousBlock
      : lastParent === noParent || (lastParent >= end && lastParent < length)
    if (!parentFits) return "the sketch has a block whose parent does not follow it"
    for (; position < end; position++) {
      ageS[position] = age
      parent[position] = anonymous || position === end - 1 ? lastParent : position + 1
      if (anonymous) continue
      low[position] = view.getUint32(at, true)
      high[position] = view.getUint32(at + 4, true)
      at += 8
    }
  }
  if (position !== length || at !== view.byteLength) return "the sketch's counts do not fit its size"
  for (const of of parent) {
    if (of >= 0 && parent[of] === anonymousBlock) return "the sketch has a parent without a hash"
  }
  return { length, low, high, parent, ageS }
}

/** Of the counts and the segments; catches torn and damaged blobs, not forged ones. */
const checksum = (view: DataView): number => {
  let h = Math.imul(view.getUint32(8, true), 0x9e3779b1) ^ view.getUint32(12, true)
  for (let at = headerBytes; at < view.byteLength; at += 4) {
    h = Math.imul(h ^ view.getUint32(at, true), 0x85ebca77)
    h = (h << 13) | (h >>> 19)
  }
  return h >>> 0
}
