import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { BlockPool } from "../../src/emulator/engine/BlockPool.ts"

const poolOf = (usable: number) => new BlockPool(usable + 1, 16)

const takeAll = (pool: BlockPool): Array<number> => {
  const blocks: Array<number> = []
  for (let block = pool.take(); block !== 0; block = pool.take()) blocks.push(block)
  return blocks
}

describe("BlockPool", () => {
  test("hands out every block but the null block, then 0", () => {
    expect(takeAll(poolOf(5))).toEqual([1, 2, 3, 4, 5])
  })

  test("frees a request's blocks last one first", () => {
    const pool = poolOf(4)
    takeAll(pool)
    pool.release(Int32Array.of(1, 2, 3), 3)
    expect(takeAll(pool)).toEqual([3, 2, 1])
  })

  test("finds a cached block after it was freed, until it is handed out anew", () => {
    const pool = poolOf(2)
    const block = pool.take()
    pool.cache(block, 7, 9)
    pool.release(Int32Array.of(block), 1)
    expect(pool.find(7, 9)).toBe(block)
    takeAll(pool)
    expect(pool.find(7, 9)).toBe(0)
    expect(pool.evictions).toBe(1)
  })

  test("a touched block leaves the free queue and comes back at its end", () => {
    const pool = poolOf(3)
    const [first] = takeAll(pool)
    pool.release(Int32Array.of(1, 2, 3), 3)
    pool.touch(first!)
    expect(pool.freeCount).toBe(2)
    pool.release(Int32Array.of(first!), 1)
    expect(takeAll(pool)).toEqual([3, 2, 1])
  })

  test("of two blocks with equal content the older one answers, and the younger one after it is gone", () => {
    const pool = poolOf(2)
    const older = pool.take()
    const younger = pool.take()
    pool.cache(older, 5, 5)
    pool.cache(younger, 5, 5)
    expect(pool.find(5, 5)).toBe(older)
    pool.release(Int32Array.of(older), 1)
    expect(pool.take()).toBe(older)
    expect(pool.find(5, 5)).toBe(younger)
  })

  test("reset forgets everything, but not under a request", () => {
    const pool = poolOf(2)
    const block = pool.take()
    pool.cache(block, 1, 2)
    expect(pool.reset()).toBe(false)
    pool.release(Int32Array.of(block), 1)
    expect(pool.reset()).toBe(true)
    expect(pool.find(1, 2)).toBe(0)
  })

  test("agrees with a plain model under any sequence of take, cache and release", () => {
    const operation = fc.tuple(fc.constantFrom("take", "cache", "touch", "release"), fc.nat(40))
    fc.assert(fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const pool = poolOf(12)
      const held: Array<number> = []
      const contents = new Map<number, number>()
      for (const [kind, value] of operations) {
        if (kind === "take") {
          const block = pool.take()
          expect(block === 0).toBe(new Set(held).size === 12)
          if (block === 0) continue
          contents.delete(block)
          held.push(block)
        } else if (kind === "cache" && held.length > 0) {
          const block = held[value % held.length]!
          if (!contents.has(block)) contents.set(block, value % 8)
          pool.cache(block, value % 8, 0)
        } else if (kind === "touch") {
          const block = pool.find(value % 8, 0)
          if (block === 0) continue
          pool.touch(block)
          held.push(block)
        } else if (kind === "release" && held.length > 0) {
          pool.release(Int32Array.of(held.splice(value % held.length, 1)[0]!), 1)
        }
        expect(pool.freeCount).toBe(12 - new Set(held).size)
        for (let key = 0; key < 8; key++) {
          const found = pool.find(key, 0)
          const holders = [...contents].filter(([, content]) => content === key).map(([block]) => block)
          if (holders.length === 0) expect(found).toBe(0)
          else expect(holders).toContain(found)
        }
      }
    }))
  })
})
