import { expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { trailBlocks, trailHashesMax, trailOf } from "../../src/core/promptTrail.ts"

const chainOf = (blocks: number, from = 0) => ({
  low: Uint32Array.from({ length: blocks }, (_, index) => from + index),
  high: new Uint32Array(blocks),
  length: blocks
})

test("a trail has a hash every four blocks, then every eight, and never more than its limit", () => {
  expect([0, 1, 255, 256, 257, 511, 512].map(trailBlocks)).toEqual([4, 8, 1024, 1032, 1040, 3072, 3088])
  expect(trailOf(chainOf(1039))).toHaveLength(257)
  expect(trailOf(chainOf(trailBlocks(trailHashesMax) + 1))).toHaveLength(trailHashesMax)
})

test("two prompts with a common beginning have the same hashes up to its end", () => {
  fc.assert(fc.property(fc.nat(5000), fc.nat(5000), fc.nat(5000), (shared, one, other) => {
    const of = (own: number, from: number) => {
      const chain = chainOf(shared + own)
      for (let block = shared; block < chain.length; block++) chain.low[block] = from + block
      return trailOf(chain)
    }
    const [a, b] = [of(one, 1e6), of(other, 2e6)]
    let same = 0
    while (same < a.length && a[same] === b[same]) same++
    const lost = shared - (same === 0 ? 0 : trailBlocks(same - 1))
    return lost >= 0 &&
      (lost <= Math.max(4, shared / 64) || one + other === 0 || a.length === same || b.length === same)
  }))
})
