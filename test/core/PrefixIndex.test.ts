import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import type { BlockChain } from "../../src/core/BlockChain.ts"
import { PrefixIndex } from "../../src/core/PrefixIndex.ts"
import { ShadowKv } from "../../src/core/ShadowKv.ts"
import { chainOf } from "./chains.ts"

const maskOf = (index: PrefixIndex, rows: Iterable<number>): Uint32Array => {
  const mask = new Uint32Array(index.maskWords)
  for (const row of rows) mask[row >>> 5]! |= 1 << (row & 31)
  return mask
}

const matchRows = (index: PrefixIndex, chain: BlockChain, rows: ReadonlyArray<number>): Array<number> => {
  const hits = new Uint32Array(index.rowsMax).fill(9999)
  index.match(chain, maskOf(index, rows), hits)
  return [...hits]
}

/** Adds the first `depth` blocks of a chain for a row. */
const hold = (index: PrefixIndex, row: number, chain: BlockChain, depth: number): void => {
  for (let i = 0; i < depth; i++) index.add(chain.low[i]!, chain.high[i]!, row)
}

const long = chainOf(Array.from({ length: 500 }, (_, i) => i))

describe("the prefix index", () => {
  test("tells each pod's own depth, for every mix of depths", () => {
    const depthArb = fc.oneof(fc.nat(500), fc.nat(3), fc.constant(500))
    fc.assert(
      fc.property(
        fc.array(depthArb, { minLength: 1, maxLength: 70 }),
        fc.infiniteStream(fc.boolean()),
        (depths, flips) => {
          const index = new PrefixIndex({ rowsMax: depths.length, entriesMax: 10_000 })
          depths.forEach((depth, row) => hold(index, row, long, depth))
          const candidates = depths.map((_, row) => row).filter(() => flips.next().value)
          expect(matchRows(index, long, candidates)).toEqual(
            depths.map((depth, row) => (candidates.includes(row) ? depth : 0))
          )
        }
      ),
      { numRuns: 200 }
    )
  })

  test("equals asking every shadow one by one, while requests come, end, die and evict", () => {
    const requestArb = fc.record({
      row: fc.nat(39),
      path: fc.array(fc.nat(2), { maxLength: 9 }),
      computed: fc.boolean(),
      ends: fc.nat(5)
    })
    fc.assert(
      fc.property(
        fc.array(requestArb, { minLength: 30, maxLength: 300 }),
        fc.integer({ min: 3, max: 30 }),
        (all, capacity) => {
          const index = new PrefixIndex({ rowsMax: 40, entriesMax: 100_000 })
          const shadows = Array.from({ length: 40 }, (_, row) => new ShadowKv(row, index, capacity))
          const rows = shadows.map((_, row) => row)
          const open: Array<{ lease: number; row: number; computed: boolean }> = []
          all.forEach(({ computed, ends, path, row }, nowS) => {
            const chain = chainOf(path)
            open.push({ lease: shadows[row]!.admit(chain, 1, nowS), row, computed })
            if (open.length > ends) {
              const [oldest] = open.splice(0, 1)
              shadows[oldest!.row]!.release(oldest!.lease, oldest!.computed, ends, nowS)
            }
            expect(matchRows(index, chain, rows)).toEqual(shadows.map((shadow) => shadow.matchBlocks(chain)))
          })
          for (const shadow of shadows) shadow.clear()
          expect(index.entryCount).toBe(0)
        }
      ),
      { numRuns: 60 }
    )
  })

  test("keeps every hash and holder through growth, removal and regrowth", () => {
    const index = new PrefixIndex({ rowsMax: 3, entriesMax: 1_000_000 })
    const chains = Array.from({ length: 60 }, (_, i) => chainOf(Array.from({ length: 1000 }, (_, j) => i * 1000 + j)))
    const expectAll = (held: (chain: number) => ReadonlyArray<number>) =>
      chains.forEach((chain, c) => expect(matchRows(index, chain, [0, 1, 2])).toEqual([...held(c)]))
    chains.forEach((chain, c) => {
      hold(index, c % 3, chain, 1000)
      if (c % 5 === 0) hold(index, (c + 1) % 3, chain, 400)
    })
    expect(index.entryCount).toBe(60_000)
    expectAll((c) => [0, 1, 2].map((row) => (row === c % 3 ? 1000 : c % 5 === 0 && row === (c + 1) % 3 ? 400 : 0)))
    chains.forEach((chain, c) => {
      for (let i = 999; i >= (c % 2 === 0 ? 0 : 100); i--) index.remove(chain.low[i]!, chain.high[i]!, c % 3)
    })
    expectAll((c) =>
      [0, 1, 2].map((row) => (row === c % 3 ? (c % 2 === 0 ? 0 : 100) : c % 5 === 0 && row === (c + 1) % 3 ? 400 : 0))
    )
  })

  test("reuses the memory of what was removed", () => {
    const index = new PrefixIndex({ rowsMax: 64, entriesMax: 100_000 })
    hold(index, 0, long, 500)
    hold(index, 63, long, 500)
    const bytes = index.byteLength
    for (let round = 0; round < 20; round++) {
      for (let i = 499; i >= 0; i--) index.remove(long.low[i]!, long.high[i]!, round % 2 === 0 ? 0 : 63)
      hold(index, round % 2 === 0 ? 0 : 63, long, 500)
    }
    expect(index.byteLength).toBe(bytes)
    expect(matchRows(index, long, [0, 63])[63]).toBe(500)
  })

  test("refuses beyond its limit, counts it, and takes more once something left", () => {
    const index = new PrefixIndex({ rowsMax: 2, entriesMax: 3 })
    hold(index, 0, long, 4)
    expect([index.entryCount, index.refusedAdds]).toEqual([3, 1])
    expect(index.add(long.low[2]!, long.high[2]!, 1)).toBe(true)
    index.remove(long.low[2]!, long.high[2]!, 0)
    expect(index.add(long.low[3]!, long.high[3]!, 0)).toBe(false)
    index.remove(long.low[2]!, long.high[2]!, 1)
    expect(index.add(long.low[3]!, long.high[3]!, 0)).toBe(true)
  })

  test("refuses hashes that crowd into one place before it runs out of memory", () => {
    const index = new PrefixIndex({ rowsMax: 2, entriesMax: 1_000_000 })
    for (let low = 0; low < 10_000; low++) index.add(low, 7, 0)
    expect(index.refusedAdds).toBeGreaterThan(0)
    expect(index.byteLength).toBeLessThan(4_000_000)
  })

  test("is unharmed by adding or removing twice, or removing what is not there", () => {
    const index = new PrefixIndex({ rowsMax: 40, entriesMax: 100 })
    for (const row of [0, 39, 39]) hold(index, row, long, 2)
    index.remove(long.low[1]!, long.high[1]!, 39)
    index.remove(long.low[1]!, long.high[1]!, 39)
    index.remove(long.low[1]!, long.high[1]!, 5)
    index.remove(long.low[9]!, long.high[9]!, 0)
    const hits = matchRows(index, long, [0, 39])
    expect([hits[0], hits[39], index.entryCount]).toEqual([2, 1, 2])
  })

  test("answers an empty chain and an empty candidate set with zeros", () => {
    const index = new PrefixIndex({ rowsMax: 33, entriesMax: 100 })
    hold(index, 32, long, 5)
    expect(matchRows(index, chainOf([]), [32])).toEqual(Array.from({ length: 33 }, () => 0))
    expect(matchRows(index, long, [])).toEqual(Array.from({ length: 33 }, () => 0))
  })

  test("refuses more rows than a holder word can name", () => {
    expect(() => new PrefixIndex({ rowsMax: 65_536, entriesMax: 1 })).toThrow("rowsMax")
  })
})
