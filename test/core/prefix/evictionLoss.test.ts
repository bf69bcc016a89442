import { expect, test } from "bun:test"
import type { BlockChain } from "../../../src/core/BlockChain.ts"
import { PrefixIndex } from "../../../src/core/prefix/PrefixIndex.ts"
import { ReuseAges } from "../../../src/core/prefix/ReuseAges.ts"
import { ShadowKv } from "../../../src/core/prefix/ShadowKv.ts"

/** Blocks of one prompt each, which are followed by `ReuseAges`. */
const chainOf = (name: number, length = 1): BlockChain => ({
  low: Uint32Array.from({ length }, (_, i) => (name * 100 + i) * 32),
  high: Uint32Array.from({ length }, (_, i) => name * 100 + i),
  length
})

const serve = (shadow: ShadowKv, name: number, nowS: number, length = 1): void => {
  shadow.release(shadow.admit(chainOf(name, length), 0, nowS), true, 0, nowS)
}

/** Half of what is a second old is asked for again, and nothing that is older than two. */
const halfComesBack = (): ReuseAges => {
  const reuse = new ReuseAges({ samplesMax: 1000, halfLifeS: 1e9 })
  for (let name = 0; name < 100; name++) reuse.asked(chainOf(name), 0)
  for (let name = 0; name < 100; name++) reuse.asked(chainOf(name), 1.5)
  return reuse
}

const shadowsOf = (capacityBlocks: number, rows = 3) => {
  const index = new PrefixIndex({ rowsMax: rows, entriesMax: 10_000 })
  return { index, shadows: Array.from({ length: rows }, (_, row) => new ShadowKv(row, index, capacityBlocks)) }
}

test("room that is free costs nothing", () => {
  const { shadows: [shadow] } = shadowsOf(10)
  for (let name = 0; name < 4; name++) serve(shadow!, name, 9)
  expect(shadow!.evictionLoss(6, 256, 10, halfComesBack())).toBe(0)
})

test("each block that is pushed out counts by the chance that it comes back at its age", () => {
  const { shadows: [shadow] } = shadowsOf(10)
  for (let name = 0; name < 10; name++) serve(shadow!, name, name < 4 ? 1 : 9.9)
  // Of the four oldest, nine seconds old, none comes back; the two after them are young: half of 200 asks came again.
  expect(shadow!.evictionLoss(4, 256, 10, halfComesBack())).toBe(0)
  expect(shadow!.evictionLoss(6, 256, 10, halfComesBack())).toBeCloseTo(2 * 0.5, 9)
})

test("a block that other pods hold too counts by its part", () => {
  const { shadows: [one, two, three] } = shadowsOf(2)
  for (const shadow of [one, two, three]) serve(shadow!, 1, 9.9)
  serve(one!, 2, 9.9)
  expect(one!.evictionLoss(2, 256, 10, halfComesBack())).toBeCloseTo(0.5 / 3 + 0.5, 9)
})

test("no more than what nobody holds can be lost", () => {
  const { shadows: [shadow] } = shadowsOf(4)
  serve(shadow!, 1, 9.9)
  shadow!.admit(chainOf(2, 3), 0, 9.9)
  expect(shadow!.evictionLoss(100, 256, 10, halfComesBack())).toBeCloseTo(0.5, 9)
})

test("blocks beyond those that are looked at count as these do", () => {
  const { shadows: [shadow] } = shadowsOf(8)
  for (let name = 0; name < 8; name++) serve(shadow!, name, 9.9)
  expect(shadow!.evictionLoss(8, 2, 10, halfComesBack())).toBeCloseTo(8 * 0.5, 9)
})

test("the index counts the pods that hold a block, beyond 32 of them too", () => {
  const { index, shadows } = shadowsOf(10, 40)
  const counts = shadows.map((shadow) => {
    serve(shadow, 7, 0)
    const { high, low } = chainOf(7)
    return index.holderCount(index.anchor(0, low[0]!, high[0]!))
  })
  expect(counts).toEqual(Array.from({ length: 40 }, (_, row) => row + 1))
})
