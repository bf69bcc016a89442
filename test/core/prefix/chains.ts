import { FastCheck as fc } from "effect"
import type { BlockChain } from "../../../src/core/BlockChain.ts"
import { BlockHasher, seedOf } from "../../../src/core/BlockHash.ts"

const hasher = new BlockHasher()
const seed = seedOf(["model"])

/** The chain of a prompt in which block i is filled with the i-th number. */
export const chainOf = (path: ReadonlyArray<number>): BlockChain => {
  const words = new Uint32Array(path.length * 4)
  path.forEach((block, i) => words.fill(block, i * 4, i * 4 + 4))
  return hasher.hash(new Uint8Array(words.buffer), words.byteLength, 16, seed)
}

/** Short prompts of few different blocks, and long ones that follow one of two trunks and turn off somewhere. */
export const pathArb: fc.Arbitrary<ReadonlyArray<number>> = fc.oneof(
  fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 7 }),
  fc.record({ trunk: fc.nat(1), length: fc.nat(50), turnAt: fc.nat(50), turn: fc.nat(2) }).map(
    ({ length, trunk, turn, turnAt }) => Array.from({ length }, (_, i) => (i < turnAt ? trunk : 10 + turn))
  )
)
