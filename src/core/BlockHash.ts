import type { BlockChain } from "./BlockChain.ts"

/** Start state of a chain: prompts under different seeds share no block. */
export interface HashSeed {
  readonly low: number
  readonly high: number
}

// Odd constants with well-spread bits (golden ratio, murmur3 and xxhash primes).
const mulA = 0x9e3779b1
const mulB = 0x85ebca77
const mulC = 0xc2b2ae3d
const mulD = 0x27d4eb2f

/** Final mix of murmur3: each input bit moves each output bit with probability one half. */
const avalanche = (x: number): number => {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return x ^ (x >>> 16)
}

/**
 * Hashes prompts block by block. The state is two 32-bit lanes; absorbing a word is a bijection of the state, so two
 * prompts that differ in one word differ in every later block for certain and in no earlier one. Lane b absorbs lane
 * a, so a difference that cancels in a stays in b. Good for lookup, not against someone who searches for collisions:
 * those would only misroute that person's own requests, since pods compare blocks by their own hash.
 */
export class BlockHasher {
  private buffer: ArrayBufferLike = new ArrayBuffer(0)
  private view = new Uint32Array(this.buffer)

  /**
   * The chain of the full blocks in `bytes[0..byteLength)`. `blockBytes` is a multiple of 4 and part of the identity.
   * The result owns its arrays.
   */
  hash(bytes: Uint8Array, byteLength: number, blockBytes: number, seed: HashSeed): BlockChain {
    if (blockBytes <= 0 || blockBytes % 4 !== 0) throw new RangeError(`blockBytes ${blockBytes} is not a multiple of 4`)
    const length = Math.floor(Math.min(byteLength, bytes.length) / blockBytes)
    const low = new Uint32Array(length)
    const high = new Uint32Array(length)
    const a = Math.imul(seed.low ^ blockBytes, mulC)
    const b = Math.imul(seed.high + blockBytes, mulD)
    const aligned = bytes.byteOffset % 4 === 0
    const words = aligned ? this.wordsOf(bytes.buffer) : copiedWords(bytes, length * blockBytes)
    hashWords(words, aligned ? bytes.byteOffset / 4 : 0, blockBytes / 4, a, b, low, high)
    return { low, high, length }
  }

  /** Callers hash out of one scratch buffer, so the view of the last buffer is kept. */
  private wordsOf(buffer: ArrayBufferLike): Uint32Array {
    if (buffer !== this.buffer) {
      this.buffer = buffer
      this.view = new Uint32Array(buffer, 0, buffer.byteLength >>> 2)
    }
    return this.view
  }
}

const copiedWords = (bytes: Uint8Array, byteLength: number): Uint32Array =>
  new Uint32Array(bytes.slice(0, byteLength).buffer)

const hashWords = (
  words: Uint32Array,
  start: number,
  blockWords: number,
  a: number,
  b: number,
  low: Uint32Array,
  high: Uint32Array
): void => {
  let at = start
  for (let block = 0; block < low.length; block++) {
    const end = at + blockWords
    for (; at < end; at++) {
      a = Math.imul(a ^ words[at]!, mulA)
      a = (a << 15) | (a >>> 17)
      b = Math.imul(b ^ a, mulB)
      b = (b << 13) | (b >>> 19)
    }
    // A bijection of (a, b) too, so that different states never give the same entry.
    const x = avalanche((a + Math.imul(b ^ (b >>> 15), mulC)) | 0)
    const y = avalanche(b ^ Math.imul(x, mulD))
    low[block] = x + y
    high[block] = y
  }
}

/** Folds names such as model, adapter, salt and tenant into a seed; ["ab", "c"] and ["a", "bc"] differ. */
export const seedOf = (parts: ReadonlyArray<string>): HashSeed => {
  let a = parts.length
  let b = mulC
  for (const part of parts) {
    a = Math.imul(a ^ part.length, mulC)
    a ^= a >>> 15
    for (let i = 0; i < part.length; i++) {
      a = Math.imul(a ^ part.charCodeAt(i), mulA)
      a = (a << 15) | (a >>> 17)
      b = Math.imul(b ^ a, mulB)
      b = (b << 13) | (b >>> 19)
    }
    b = Math.imul(b ^ a, mulD)
  }
  const x = avalanche((a + Math.imul(b, mulC)) | 0)
  return { low: x >>> 0, high: avalanche(b ^ Math.imul(x, mulD)) >>> 0 }
}

/** 32-bit hash of a session key; never 0, which means "none". */
export const hashText = (text: string): number => {
  const seed = seedOf([text])
  return (seed.low ^ seed.high) >>> 0 || 1
}
