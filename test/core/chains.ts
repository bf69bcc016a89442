import type { BlockChain } from "../../src/core/BlockChain.ts"
import { BlockHasher, seedOf } from "../../src/core/BlockHash.ts"

const hasher = new BlockHasher()
const seed = seedOf(["model"])

/** The chain of a prompt in which block i is filled with the i-th number. */
export const chainOf = (path: ReadonlyArray<number>): BlockChain => {
  const words = new Uint32Array(path.length * 4)
  path.forEach((block, i) => words.fill(block, i * 4, i * 4 + 4))
  return hasher.hash(new Uint8Array(words.buffer), words.byteLength, 16, seed)
}
