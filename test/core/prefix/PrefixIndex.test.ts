import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import type { BlockChain } from "../../../src/core/BlockChain.ts"
import { anchorBlocks, PrefixIndex } from "../../../src/core/prefix/PrefixIndex.ts"
import { ShadowKv } from "../../../src/core/prefix/ShadowKv.ts"
import { chainOf, pathArb } from "./chains.ts"

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

/** Makes a row hold the blocks of a chain from `from` (0 or held already) up to `depth`. Returns how many it got. */
const hold = (index: PrefixIndex, row: number, chain: BlockChain, depth: number): number => {
  let parent = -1
  for (let i = 0; i < depth; i++) {
    const node = index.add(parent, i, chain.low[i]!, chain.high[i]!, row)
    if (node < 0) return i
    parent = node
  }
  return depth
}

/** Takes the blocks of a chain after the first `depth` from a row, the last one first as a shadow does. */
const cut = (index: PrefixIndex, row: number, chain: BlockChain, depth: number): void => {
  const nodes: Array<number> = []
  for (let i = 0, node = -1; i < chain.length; i++) {
    node = i % anchorBlocks === 0
      ? index.anchor(i, chain.low[i]!, chain.high[i]!)
      : index.child(node, chain.low[i]!, chain.high[i]!)
    if (node < 0) break
    nodes.push(node)
  }
  for (const node of nodes.slice(depth).toReversed()) index.remove(node, row)
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
      path: pathArb,
      computed: fc.boolean(),
      ends: fc.nat(5)
    })
    fc.assert(
      fc.property(
        fc.array(requestArb, { minLength: 30, maxLength: 300 }),
        fc.oneof(fc.integer({ min: 3, max: 30 }), fc.integer({ min: 60, max: 200 })),
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
      cut(index, c % 3, chain, c % 2 === 0 ? 0 : 100)
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
      cut(index, round % 2 === 0 ? 0 : 63, long, 0)
      hold(index, round % 2 === 0 ? 0 : 63, long, 500)
    }
    expect(index.byteLength).toBe(bytes)
    expect(matchRows(index, long, [0, 63])[63]).toBe(500)
  })

  test("refuses beyond its limit, counts it, and takes more once something left", () => {
    const index = new PrefixIndex({ rowsMax: 2, entriesMax: 3 })
    expect(hold(index, 0, long, 4)).toBe(3)
    expect([index.entryCount, index.refusedAdds]).toEqual([3, 1])
    expect(hold(index, 1, long, 3)).toBe(3)
    cut(index, 0, long, 2)
    expect(hold(index, 1, long, 4)).toBe(3)
    cut(index, 1, long, 2)
    expect(hold(index, 1, chainOf([0, 1, 77]), 3)).toBe(3)
    expect(matchRows(index, long, [0, 1])).toEqual([2, 2])
  })

  test("refuses hashes that crowd into one place before it runs out of memory", () => {
    const index = new PrefixIndex({ rowsMax: 2, entriesMax: 1_000_000 })
    for (let low = 0; low < 10_000; low++) index.add(-1, 0, low, 7, 0)
    expect(index.refusedAdds).toBeGreaterThan(0)
    expect(index.byteLength).toBeLessThan(4_000_000)
  })

  test("tells apart thousands of prompts that part after a common start, and forgets them in any order", () => {
    const index = new PrefixIndex({ rowsMax: 2, entriesMax: 100_000 })
    const chains = Array.from({ length: 3000 }, (_, i) => chainOf([1, 2, 3, 4, 5, i + 10, 6, 7]))
    chains.forEach((chain, i) => hold(index, i % 2, chain, 8))
    chains.forEach((chain, i) => expect(matchRows(index, chain, [0, 1])).toEqual(i % 2 === 0 ? [8, 5] : [5, 8]))
    chains.forEach((chain, i) => {
      if (i % 3 !== 0) cut(index, i % 2, chain, 5)
    })
    chains.forEach((chain, i) => expect(Math.max(...matchRows(index, chain, [0, 1]))).toBe(i % 3 === 0 ? 8 : 5))
    expect(index.entryCount).toBe(5 + 1000 * 3)
  })

  test("is unharmed by adding twice, or removing what a row does not hold", () => {
    const index = new PrefixIndex({ rowsMax: 40, entriesMax: 100 })
    for (const row of [0, 39, 39]) hold(index, row, long, 2)
    cut(index, 39, long, 1)
    cut(index, 39, long, 1)
    cut(index, 5, long, 0)
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
