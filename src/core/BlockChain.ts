/**
 * Chained 64-bit hashes of a prompt's blocks: entry i names blocks 0..i, so equal entries mean equal prefixes.
 * Split in two 32-bit lanes because JS has no cheap 64-bit integer.
 */
export interface BlockChain {
  readonly low: Uint32Array
  readonly high: Uint32Array
  /** Full blocks; a trailing part of a block has no entry. */
  readonly length: number
}

export const emptyChain: BlockChain = { low: new Uint32Array(0), high: new Uint32Array(0), length: 0 }
