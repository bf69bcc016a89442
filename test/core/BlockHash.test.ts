import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { BlockHasher, hashText, seedOf } from "../../src/core/BlockHash.ts"

const hasher = new BlockHasher()
const seed = seedOf(["model", "", "", ""])
const entries = (bytes: Uint8Array, byteLength = bytes.length, blockBytes = 64, from = seed): Array<string> => {
  const chain = hasher.hash(bytes, byteLength, blockBytes, from)
  return Array.from({ length: chain.length }, (_, i) => `${chain.high[i]}:${chain.low[i]}`)
}

/** Equal 64-bit values and equal 32-bit halves among the entries. */
const collisions = (low: Uint32Array, high: Uint32Array) => {
  const whole = new BigUint64Array(low.length)
  const words = new Uint32Array(whole.buffer)
  low.forEach((word, i) => words.set([word, high[i]!], 2 * i))
  const repeats = (sorted: BigUint64Array | Uint32Array) => {
    let count = 0
    for (let i = 1; i < sorted.length; i++) if (sorted[i] === sorted[i - 1]) count++
    return count
  }
  return { whole: repeats(whole.sort()), low: repeats(low.slice().sort()), high: repeats(high.slice().sort()) }
}

describe("block hashes", () => {
  test("equal prefixes give equal entries, a trailing part of a block gives none", () => {
    const bytes = crypto.getRandomValues(new Uint8Array(64 * 10 + 63))
    const all = entries(bytes)
    expect(all.length).toBe(10)
    expect(entries(bytes, 64 * 4 + 5)).toEqual(all.slice(0, 4))
    expect(entries(bytes, 63)).toEqual([])
  })

  test("do not depend on where the bytes lie in memory, nor on earlier calls", () => {
    const bytes = crypto.getRandomValues(new Uint8Array(640))
    const expected = entries(bytes)
    for (let offset = 0; offset < 9; offset++) {
      const moved = new Uint8Array(700)
      moved.set(bytes, offset)
      expect(entries(moved.subarray(offset), 640)).toEqual(expected)
    }
  })

  test("one flipped bit or two swapped words change that entry and all later ones, and no earlier one", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 64, maxLength: 640 }),
        fc.nat(),
        fc.nat(),
        fc.boolean(),
        (bytes, at, other, swap) => {
          const changed = bytes.slice()
          const words = new Uint32Array(changed.buffer, 0, changed.length >>> 2)
          let first = at % (words.length * 32)
          if (swap) {
            const [a, b] = [at % words.length, other % words.length]
            fc.pre(words[a] !== words[b])
            const kept = words[a]!
            words[a] = words[b]!
            words[b] = kept
            first = Math.min(a, b) * 32
          } else {
            words[first >>> 5]! ^= 1 << (first & 31)
          }
          const block = Math.floor(first / 8 / 64)
          const [before, after] = [entries(bytes), entries(changed)]
          before.forEach((entry, i) => expect(after[i] === entry).toBe(i < block))
        }
      ),
      { numRuns: 300 }
    )
  })

  test("differ between block sizes and between seeds", () => {
    const bytes = crypto.getRandomValues(new Uint8Array(640))
    const seen = new Set([
      ...entries(bytes),
      ...entries(bytes, 640, 32),
      ...entries(bytes, 640, 128),
      ...entries(bytes, 640, 64, seedOf(["other", "", "", ""])),
      ...entries(bytes, 640, 64, seedOf(["model", "", "salt", ""])),
      ...entries(bytes, 640, 64, seedOf(["model", "salt", "", ""]))
    ])
    expect(seen.size).toBe(10 + 20 + 5 + 10 + 10 + 10)
  })

  test("do not collide over a million prompts that count, shift single bits, or repeat words", () => {
    const total = 1_000_000
    const words = new Uint32Array(16)
    const bytes = new Uint8Array(words.buffer)
    const low = new Uint32Array(total)
    const high = new Uint32Array(total)
    for (let i = 0; i < total; i++) {
      const n = Math.floor(i / 4)
      words.fill(0)
      // Four families: a counter in each place, a counter as text, two sparse bits, one word repeated.
      if (i % 4 === 0) words[n % 16] = Math.floor(n / 16) + 1
      else if (i % 4 === 1) {
        for (let d = 0, left = n; d < 6; d++, left = Math.floor(left / 10)) bytes[63 - d] = 48 + (left % 10)
      } else if (i % 4 === 2) {
        words.fill(0x20202020)
        words[n & 7]! ^= 1 << ((n >>> 3) & 31)
        words[8 + (n & 7)]! ^= (n >>> 8) + 1
      } else words.fill(n + 0x61616161)
      const chain = hasher.hash(bytes, 64, 64, seed)
      low[i] = chain.low[0]!
      high[i] = chain.high[0]!
    }
    const found = collisions(low, high)
    expect(found.whole).toBe(0)
    // Chance alone repeats 116 of a million 32-bit values.
    expect(found.low).toBeLessThan(200)
    expect(found.high).toBeLessThan(200)
  })

  test("do not collide along a chain of a million equal blocks", () => {
    const chain = hasher.hash(new Uint8Array(16 * 1_000_000), 16 * 1_000_000, 16, seed)
    expect(collisions(chain.low, chain.high).whole).toBe(0)
  })

  test("each input bit moves each output bit about half of the time", () => {
    const rounds = 200
    const moved = new Float64Array(512 * 64)
    for (let round = 0; round < rounds; round++) {
      const bytes = new Uint8Array(64).map((_, i) => 32 + ((round * 131 + i * 17 + ((round * i) >>> 3)) % 90))
      const base = hasher.hash(bytes, 64, 64, seed)
      for (let bit = 0; bit < 512; bit++) {
        bytes[bit >>> 3]! ^= 1 << (bit & 7)
        const flipped = hasher.hash(bytes, 64, 64, seed)
        bytes[bit >>> 3]! ^= 1 << (bit & 7)
        const low = base.low[0]! ^ flipped.low[0]!
        const high = base.high[0]! ^ flipped.high[0]!
        for (let out = 0; out < 32; out++) {
          moved[bit * 64 + out]! += (low >>> out) & 1
          moved[bit * 64 + 32 + out]! += (high >>> out) & 1
        }
      }
    }
    const shares = moved.map((count) => count / rounds)
    const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.005)
    // Six standard deviations of 200 coin flips.
    expect(Math.max(...shares)).toBeLessThan(0.72)
    expect(Math.min(...shares)).toBeGreaterThan(0.28)
  })

  test("refuse a block size that is no multiple of four bytes", () => {
    expect(() => hasher.hash(new Uint8Array(64), 64, 30, seed)).toThrow("blockBytes 30")
    expect(() => hasher.hash(new Uint8Array(64), 64, 0, seed)).toThrow("blockBytes 0")
  })
})

describe("seeds", () => {
  test("tell every list of names from every other", () => {
    const lists = [
      ["ab", "c"],
      ["a", "bc"],
      ["abc"],
      ["abc", ""],
      ["", "abc"],
      [""],
      ["", ""],
      [],
      ["c", "ab"],
      ["é"],
      ["e"]
    ]
    expect(new Set(lists.map((parts) => JSON.stringify(seedOf(parts)))).size).toBe(lists.length)
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 5 }), fc.array(fc.string(), { maxLength: 5 }), (one, two) => {
        const same = JSON.stringify(one) === JSON.stringify(two)
        expect(JSON.stringify(seedOf(one)) === JSON.stringify(seedOf(two))).toBe(same)
      })
    )
  })
})

describe("text hashes", () => {
  test("are unsigned 32-bit numbers, never the 0 that means none, and spread", () => {
    const hashes = Array.from({ length: 100_000 }, (_, i) => hashText(`session-${i}`))
    expect(hashes.every((hash) => Number.isInteger(hash) && hash > 0 && hash <= 0xffffffff)).toBe(true)
    expect(new Set(hashes).size).toBeGreaterThan(99_990)
    const buckets = new Uint32Array(16)
    for (const hash of hashes) buckets[hash & 15]!++
    expect(Math.min(...buckets)).toBeGreaterThan(5800)
    expect(Math.max(...buckets)).toBeLessThan(6700)
  })
})
