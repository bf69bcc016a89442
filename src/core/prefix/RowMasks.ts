const chunkBits = 10
const masksPerChunk = 1 << chunkBits
const noMask = 0xffffffff

/** A pool of bitmasks over rows, in chunks, so that growing copies nothing. Row r is bit r % 32 of word r / 32. */
export class RowMasks {
  /** Words of a mask. */
  readonly stride: number
  private readonly chunks: Array<Uint32Array> = []
  private masksUsed = 0
  /** Head of the free masks; each keeps the next one in its first word. */
  private free = noMask

  constructor(rowsMax: number) {
    this.stride = Math.ceil(rowsMax / 32)
  }

  get byteLength(): number {
    return this.chunks.length * masksPerChunk * this.stride * 4
  }

  /** The array that a mask lies in, from `base` on. */
  words(mask: number): Uint32Array {
    return this.chunks[mask >>> chunkBits]!
  }

  base(mask: number): number {
    return (mask & (masksPerChunk - 1)) * this.stride
  }

  /** An empty mask. */
  take(): number {
    const mask = this.free
    if (mask !== noMask) {
      const words = this.words(mask)
      this.free = words[this.base(mask)]!
      words[this.base(mask)] = 0
      return mask
    }
    if (this.masksUsed === this.chunks.length * masksPerChunk) {
      this.chunks.push(new Uint32Array(masksPerChunk * this.stride))
    }
    return this.masksUsed++
  }

  set(mask: number, row: number): void {
    this.words(mask)[this.base(mask) + (row >>> 5)]! |= 1 << row
  }

  /** Clears a row. When only one other is left the mask is free and that row returned, otherwise -1. */
  clear(mask: number, row: number): number {
    const words = this.words(mask)
    const base = this.base(mask)
    words[base + (row >>> 5)]! &= ~(1 << row)
    let only = -1
    for (let w = 0; w < this.stride; w++) {
      const word = words[base + w]!
      if (word === 0) continue
      if (only >= 0 || (word & (word - 1)) !== 0) return -1
      only = w * 32 + (31 - Math.clz32(word))
    }
    words.fill(0, base, base + this.stride)
    words[base] = this.free
    this.free = mask
    return only
  }
}
