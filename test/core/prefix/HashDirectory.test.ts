import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { HashDirectory } from "../../../src/core/prefix/HashDirectory.ts"

describe("the hash directory", () => {
  test("equals a Map, however unevenly the hashes fall", () => {
    const groupArb = fc.record({
      /** Bits of the high lane that all hashes of a group share. */
      sharedBits: fc.nat(8),
      prefix: fc.nat(255),
      count: fc.nat(6000),
      removed: fc.nat(6000)
    })
    fc.assert(
      fc.property(fc.array(groupArb, { minLength: 1, maxLength: 5 }), fc.integer(), (groups, start) => {
        const directory = new HashDirectory()
        const reference = new Map<string, readonly [number, number, number]>()
        let random = start >>> 0
        const next = () => (random = (Math.imul(random, 1664525) + 1013904223) >>> 0)
        for (const { count, prefix, removed, sharedBits } of groups) {
          for (let i = 0; i < count; i++) {
            const low = (next() ^ (next() >>> 16)) >>> 0
            const high = (sharedBits === 0 ? next() : (prefix << 24) | (next() >>> sharedBits)) >>> 0
            if (reference.has(`${high}:${low}`)) continue
            if (!directory.insert(low, high, i)) throw new Error(`refused ${high}:${low}`)
            reference.set(`${high}:${low}`, [low, high, i])
          }
          for (const [key, [low, high]] of [...reference].slice(0, removed)) {
            directory.remove(low, high)
            reference.delete(key)
            if (directory.find(low, high) !== -1) throw new Error(`kept ${high}:${low}`)
          }
        }
        const lost = [...reference.values()].filter(([low, high, value]) => directory.find(low, high) !== value)
        expect(lost).toEqual([])
      }),
      { numRuns: 25 }
    )
  })

  test("is unharmed by removing what is not there", () => {
    const directory = new HashDirectory()
    directory.insert(1, 2, 3)
    directory.remove(1, 3)
    expect(directory.find(1, 2)).toBe(3)
  })
})
