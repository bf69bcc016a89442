import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { PrefixIndex } from "../../../src/core/prefix/PrefixIndex.ts"
import { ShadowKv } from "../../../src/core/prefix/ShadowKv.ts"
import { anonymousBlock, decodeSketch } from "../../../src/core/prefix/sketchFormat.ts"
import { chainOf, pathArb } from "./chains.ts"
import { nameOf, ReferenceKv } from "./ReferenceKv.ts"

const indexOf = (entriesMax = 100_000, rowsMax = 4) => new PrefixIndex({ rowsMax, entriesMax })
const path = (length: number, first = 1) => Array.from({ length }, (_, i) => (i === 0 ? first : i + 1))
/** Admits, computes and ends a request at once. */
const serve = (shadow: ShadowKv, prompt: ReadonlyArray<number>, nowS = 0, outputBlocks = 0) =>
  shadow.release(shadow.admit(chainOf(prompt), 0, nowS), true, outputBlocks, nowS)

/** Names of the blocks in the order of their eviction, "-" for one without a hash; needs the names by hash. */
const exportedNames = (shadow: ShadowKv, namesByHash: ReadonlyMap<string, string>): Array<string> => {
  const blocks = decodeSketch(shadow.exportBlocks(), 1_000_000)
  if (typeof blocks === "string") throw new Error(blocks)
  return Array.from(
    blocks.parent,
    (parent, i) => parent === anonymousBlock ? "-" : namesByHash.get(`${blocks.high[i]}:${blocks.low[i]}`) ?? "unknown"
  )
}

type Step =
  | { readonly op: "admit"; readonly path: ReadonlyArray<number>; readonly extra: number }
  | { readonly op: "prefilled"; readonly which: number }
  | { readonly op: "release"; readonly which: number; readonly computed: boolean; readonly output: number }
  | { readonly op: "resize"; readonly capacity: number }
  | { readonly op: "clear" }
  | { readonly op: "restore" }

const stepArb: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ op: fc.constant("admit"), path: pathArb, extra: fc.nat(2) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant("prefilled"), which: fc.nat(9) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constant("release"),
      which: fc.nat(9),
      computed: fc.boolean(),
      output: fc.nat(4)
    })
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("resize"), capacity: fc.nat(120) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("clear") }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("restore") }) }
) as fc.Arbitrary<Step>

describe("a shadow against a plain model of vLLM's block pool", () => {
  test("caches, evicts and counts the same through any sequence of requests", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.nat(24), fc.nat(150)),
        fc.array(stepArb, { minLength: 20, maxLength: 80 }),
        (capacity, steps) => {
          runBoth(capacity, steps)
        }
      ),
      { numRuns: 80 }
    )
  })
})

const runBoth = (startCapacity: number, steps: ReadonlyArray<Step>): void => {
  let capacity = startCapacity
  let reference = new ReferenceKv(capacity)
  const index = indexOf()
  let shadow = new ShadowKv(2, index, capacity)
  let open: Array<{ lease: number; chain: ReturnType<typeof chainOf>; request: ReturnType<ReferenceKv["admit"]> }> = []
  const namesByHash = new Map<string, string>()
  let nowS = 0
  for (const step of steps) {
    nowS++
    if (step.op === "admit") {
      const chain = chainOf(step.path)
      step.path.forEach((_, i) => namesByHash.set(`${chain.high[i]}:${chain.low[i]}`, nameOf(step.path, i + 1)))
      const request = reference.admit(step.path, step.extra)
      open.push({ lease: shadow.admit(chain, step.extra, nowS), chain, request })
    } else if (step.op === "prefilled" && open.length > 0) {
      const { chain, lease, request } = open[step.which % open.length]!
      // A request that holds nothing has no lease, so nothing can be added to it later.
      if (lease !== -1) {
        reference.prefilled(request)
        shadow.prefilled(lease, chain, nowS)
      }
    } else if (step.op === "release" && open.length > 0) {
      const [{ lease, request }] = open.splice(step.which % open.length, 1) as [(typeof open)[number]]
      reference.release(request, step.computed, step.output)
      expect(shadow.release(lease, step.computed, step.output, nowS)).toBe(true)
      if (lease !== -1) expect(shadow.release(lease, true, 5, nowS)).toBe(false)
    } else if (step.op === "resize") {
      capacity = step.capacity
      reference.resize(capacity)
      shadow.resize(capacity)
    } else if (step.op === "clear") {
      reference = new ReferenceKv(capacity)
      shadow.clear()
      for (const { lease } of open) if (lease !== -1) expect(shadow.release(lease, true, 1, nowS)).toBe(false)
      open = []
    } else if (step.op === "restore" && open.length === 0) {
      const bytes = shadow.exportBlocks()
      shadow.clear()
      shadow = new ShadowKv(1, index, capacity)
      expect(shadow.importBlocks(bytes)).toBeUndefined()
    }
    compare(shadow, reference, index, namesByHash)
  }
}

const compare = (
  shadow: ShadowKv,
  reference: ReferenceKv,
  index: PrefixIndex,
  namesByHash: ReadonlyMap<string, string>
): void => {
  const prompts = [...reference.cached.keys()].filter((name) => !name.startsWith("output"))
  expect(shadow.cachedBlocks).toBe(prompts.length)
  expect(index.entryCount).toBe(prompts.length)
  expect(shadow.usedBlocks).toBe(reference.held.size)
  for (const name of prompts) {
    const parent = name.split(".").slice(0, -1).join(".")
    if (parent !== "") expect(reference.cached.has(parent)).toBe(true)
    const blocks = name.split(".").map(Number)
    expect(shadow.matchBlocks(chainOf(blocks))).toBe(blocks.length)
  }
  const queue = reference.queue.flatMap(({ name }) =>
    name === undefined ? [] : [name.startsWith("output") ? "-" : name]
  )
  expect(exportedNames(shadow, namesByHash).slice(0, queue.length)).toEqual(queue)
}

describe("a shadow", () => {
  test("matches the cached part of a longer prompt and nothing of another", () => {
    const shadow = new ShadowKv(0, indexOf(), 100)
    serve(shadow, path(10))
    expect(shadow.matchBlocks(chainOf([...path(10), 77]))).toBe(10)
    expect(shadow.matchBlocks(chainOf([...path(6), 99, 8, 9]))).toBe(6)
    expect(shadow.matchBlocks(chainOf(path(10, 2)))).toBe(0)
    expect(shadow.matchBlocks(chainOf([]))).toBe(0)
  })

  test("finds the depth of a long prompt at every length", () => {
    const shadow = new ShadowKv(0, indexOf(), 1000)
    const prompt = path(300)
    for (let length = 1; length <= 300; length++) {
      serve(shadow, prompt.slice(0, length))
      expect(shadow.matchBlocks(chainOf(prompt))).toBe(length)
    }
  })

  test("evicts the tail of the prompt used longest ago first", () => {
    const shadow = new ShadowKv(0, indexOf(), 10)
    serve(shadow, path(5, 1), 1)
    serve(shadow, path(5, 2), 2)
    expect(shadow.evictionStampS).toBe(1)
    serve(shadow, path(3, 3), 3)
    expect(shadow.matchBlocks(chainOf(path(5, 1)))).toBe(2)
    expect(shadow.matchBlocks(chainOf(path(5, 2)))).toBe(5)
  })

  test("keeps what running requests hold and counts what finds no room", () => {
    const shadow = new ShadowKv(0, indexOf(), 8)
    const running = shadow.admit(chainOf(path(6, 1)), 1, 0)
    expect(shadow.admittedNewBlocks).toBe(6)
    const second = shadow.admit(chainOf(path(4, 2)), 1, 0)
    expect(shadow.admittedNewBlocks).toBe(1)
    expect(shadow.usedBlocks).toBe(8)
    expect(shadow.overflowBlocks).toBe(4)
    expect(shadow.matchBlocks(chainOf(path(6, 1)))).toBe(6)
    shadow.release(running, true, 0, 1)
    shadow.prefilled(second, chainOf(path(4, 2)), 2)
    shadow.release(second, true, 0, 3)
    expect(shadow.matchBlocks(chainOf(path(4, 2)))).toBe(4)
    expect(shadow.usedBlocks).toBe(0)
  })

  test("counts a prefix that two requests share once", () => {
    const shadow = new ShadowKv(0, indexOf(), 100)
    shadow.admit(chainOf([...path(10), 50]), 1, 0)
    shadow.admit(chainOf([...path(10), 60]), 1, 0)
    expect(shadow.usedBlocks).toBe(10 + 2 + 2)
  })

  test("forgets what a request without a first token was to compute, even when two of them shared it", () => {
    const shadow = new ShadowKv(0, indexOf(), 100)
    serve(shadow, path(3))
    const first = shadow.admit(chainOf(path(8)), 1, 0)
    const second = shadow.admit(chainOf(path(9)), 1, 0)
    shadow.release(first, false, 0, 1)
    expect(shadow.matchBlocks(chainOf(path(9)))).toBe(9)
    shadow.release(second, false, 0, 1)
    expect(shadow.matchBlocks(chainOf(path(9)))).toBe(3)
    expect(shadow.usedBlocks).toBe(0)
  })

  test("keeps the whole prompt of a request that lost its client after the first token", () => {
    const shadow = new ShadowKv(0, indexOf(), 100)
    const lease = shadow.admit(chainOf(path(8)), 1, 0)
    shadow.prefilled(lease, chainOf(path(8)), 1)
    shadow.release(lease, false, 0, 2)
    expect(shadow.matchBlocks(chainOf(path(8)))).toBe(8)
  })

  test("lets generated blocks push out old prompts, and reuses them before the prompt they follow", () => {
    const shadow = new ShadowKv(0, indexOf(), 10)
    serve(shadow, path(4, 1), 1)
    serve(shadow, path(3, 2), 2, 5)
    expect(shadow.matchBlocks(chainOf(path(4, 1)))).toBe(2)
    serve(shadow, path(7, 3), 3)
    expect(shadow.matchBlocks(chainOf(path(4, 1)))).toBe(0)
    expect(shadow.matchBlocks(chainOf(path(3, 2)))).toBe(3)
  })

  test("is not blown up by absurd numbers from a pod", () => {
    const shadow = new ShadowKv(0, indexOf(50), 1e18)
    expect(shadow.capacityBlocks).toBe(50)
    serve(shadow, path(5), 0, 1e15)
    expect(shadow.matchBlocks(chainOf(path(5)))).toBe(5)
    serve(shadow, path(5, 2), 0, NaN)
    shadow.resize(NaN)
    expect([shadow.capacityBlocks, shadow.cachedBlocks]).toEqual([0, 0])
    expect(shadow.admit(chainOf(path(3)), 1, 0)).toBe(-1)
  })

  test("holds blocks without a hash when the index is full, so used blocks stay right", () => {
    const shadow = new ShadowKv(0, indexOf(4), 4)
    const other = new ShadowKv(1, (shadow as unknown as { index: PrefixIndex }).index, 4)
    serve(other, path(2, 9))
    const lease = shadow.admit(chainOf(path(3)), 1, 0)
    expect(shadow.cachedBlocks).toBe(2)
    expect(shadow.usedBlocks).toBe(4)
    shadow.release(lease, true, 0, 1)
    expect(shadow.usedBlocks).toBe(0)
    expect(shadow.matchBlocks(chainOf(path(3)))).toBe(2)
  })

  test("gives back the blocks without a hash that it took at the first token", () => {
    const index = indexOf(3)
    const shadow = new ShadowKv(0, index, 3)
    const running = shadow.admit(chainOf(path(2, 1)), 0, 0)
    const waiting = shadow.admit(chainOf(path(2, 2)), 0, 0)
    shadow.release(running, true, 0, 1)
    const other = new ShadowKv(1, index, 3)
    other.importBlocks(shadow.exportBlocks())
    shadow.prefilled(waiting, chainOf(path(2, 2)), 2)
    expect(shadow.usedBlocks).toBe(2)
    shadow.release(waiting, true, 0, 3)
    expect(shadow.usedBlocks).toBe(0)
  })

  test("takes no harm from a first token that names another prompt", () => {
    const shadow = new ShadowKv(0, indexOf(), 4)
    const running = shadow.admit(chainOf(path(2, 1)), 0, 0)
    const waiting = shadow.admit(chainOf(path(4, 2)), 0, 0)
    shadow.release(running, true, 0, 1)
    shadow.prefilled(waiting, chainOf(path(6, 3)), 2)
    shadow.release(waiting, true, 0, 3)
    expect([shadow.usedBlocks, shadow.cachedBlocks]).toEqual([0, 4])
  })

  test("refuses a row that the index has no place for", () => {
    expect(() => new ShadowKv(4, indexOf(10, 4), 10)).toThrow("row 4")
  })

  test("ignores a lease that was released, even when its place is taken again", () => {
    const shadow = new ShadowKv(0, indexOf(), 100)
    const first = shadow.admit(chainOf(path(3, 1)), 1, 0)
    shadow.release(first, true, 0, 1)
    const second = shadow.admit(chainOf(path(4, 2)), 1, 2)
    expect(shadow.release(first, true, 9, 3)).toBe(false)
    shadow.prefilled(first, chainOf(path(9, 1)), 3)
    expect([shadow.usedBlocks, shadow.cachedBlocks]).toEqual([5, 7])
    expect(shadow.release(second, true, 0, 4)).toBe(true)
  })

  test("gives every lease a number of its own while thousands are open", () => {
    const shadow = new ShadowKv(0, indexOf(), 5000)
    const leases = Array.from({ length: 3000 }, (_, i) => shadow.admit(chainOf([1, i + 2]), 0, 0))
    expect(new Set(leases).size).toBe(3000)
    expect(leases.every((lease) => shadow.release(lease, true, 0, 1))).toBe(true)
    expect(shadow.usedBlocks).toBe(0)
    expect(shadow.cachedBlocks).toBe(3001)
  })
})

describe("a shadow's export", () => {
  test("brings back the cached prompts, with the same order of eviction", () => {
    const index = indexOf()
    const before = new ShadowKv(0, index, 50)
    serve(before, path(20, 1), 5)
    serve(before, path(20, 2), 9, 4)
    serve(before, [...path(7, 1), 70, 71], 30)
    const after = new ShadowKv(1, index, 50)
    expect(after.importBlocks(before.exportBlocks())).toBeUndefined()
    expect(after.cachedBlocks).toBe(before.cachedBlocks)
    expect(after.exportBlocks()).toEqual(before.exportBlocks())
    expect(after.evictionStampS).toBe(5 - 30)
    for (const shadow of [before, after]) serve(shadow, path(20, 3), 40)
    expect(after.exportBlocks().length).toBe(before.exportBlocks().length)
    expect(after.matchBlocks(chainOf(path(20, 1)))).toBe(before.matchBlocks(chainOf(path(20, 1))))
  })

  test("has what running requests computed and leaves out what they have not", () => {
    const index = indexOf()
    const before = new ShadowKv(0, index, 50)
    const first = before.admit(chainOf(path(10)), 1, 0)
    before.prefilled(first, chainOf(path(10)), 1)
    before.admit(chainOf([...path(10), 80, 81]), 1, 2)
    const after = new ShadowKv(1, index, 50)
    expect(after.importBlocks(before.exportBlocks())).toBeUndefined()
    expect(after.matchBlocks(chainOf([...path(10), 80, 81]))).toBe(10)
    expect(after.usedBlocks).toBe(0)
  })

  test("keeps the newest whole prefixes when it has to fit a smaller pod", () => {
    const index = indexOf()
    const before = new ShadowKv(0, index, 100)
    serve(before, path(20, 1), 1)
    serve(before, path(20, 2), 2)
    const after = new ShadowKv(1, index, 30)
    expect(after.importBlocks(before.exportBlocks())).toBeUndefined()
    expect(after.cachedBlocks).toBe(30)
    expect(after.matchBlocks(chainOf(path(20, 2)))).toBe(20)
    expect(after.matchBlocks(chainOf(path(20, 1)))).toBe(10)
  })

  test("costs about eight bytes a block", () => {
    const shadow = new ShadowKv(0, indexOf(), 10_000)
    for (let i = 1; i <= 20; i++) serve(shadow, path(400, i), i)
    expect(shadow.exportBlocks().length).toBeLessThan(8.2 * 8000)
  })

  test("is refused with a reason, and leaves the shadow empty, whatever bytes are damaged", () => {
    const index = indexOf()
    const before = new ShadowKv(0, index, 64)
    serve(before, path(20, 1), 1)
    serve(before, [...path(9, 1), 40, 41], 2, 3)
    const bytes = before.exportBlocks()
    const after = new ShadowKv(1, index, 64)
    const entries = index.entryCount
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(bytes.length), (at, flip, cut) => {
        const damaged = bytes.slice()
        damaged[at]! ^= flip
        for (const broken of [damaged, bytes.slice(0, Math.min(cut, bytes.length - 1))]) {
          serve(after, path(5, 7))
          expect(after.importBlocks(broken)).toBeString()
          expect([after.cachedBlocks, after.usedBlocks, index.entryCount]).toEqual([0, 0, entries])
        }
      })
    )
  })

  test("never makes a shadow claim more than its capacity or break its prefixes, even when the bytes are forged", () => {
    const words = fc.array(
      fc.oneof(fc.nat(6), fc.constantFrom(0x80000002, 0xffffffff, 0xfffffffe, 0x3f800000), fc.nat()),
      { maxLength: 40 }
    )
    fc.assert(
      fc.property(words, fc.nat(4), fc.nat(12), (payload, segments, length) => {
        const index = indexOf()
        const shadow = new ShadowKv(0, index, 6)
        const refused = shadow.importBlocks(forged(payload, segments, length))
        expect(shadow.cachedBlocks).toBeLessThanOrEqual(refused === undefined ? 6 : 0)
        expect(index.entryCount).toBe(shadow.cachedBlocks)
        serve(shadow, path(6))
        expect(shadow.matchBlocks(chainOf(path(6)))).toBe(6)
      }),
      { numRuns: 1000 }
    )
  })

  test("names the version when a newer gateway wrote it", () => {
    const bytes = new ShadowKv(0, indexOf(), 4).exportBlocks()
    new DataView(bytes.buffer).setUint32(4, 2, true)
    expect(new ShadowKv(0, indexOf(), 4).importBlocks(bytes)).toContain("version 2")
  })

  test("is refused with the reason when its structure is impossible", () => {
    const block = (parent: number) => [1, parent, 0, 11, 12]
    const cases: ReadonlyArray<readonly [Uint8Array, string]> = [
      [forged([2, 0, 0, 11, 12, 13, 14], 1, 2), "parent does not follow"],
      [forged(block(-5), 1, 1), "parent does not follow"],
      [forged([...block(1), 0x80000001, -2, 0], 2, 2), "parent without a hash"],
      [forged([1, -1, 0xbf800000, 11, 12], 1, 1), "impossible age"],
      [forged([0, -1, 0], 1, 0), "impossible length"],
      [forged([3, -1, 0, 11, 12], 1, 3), "cut off"],
      [forged([], 1, 1), "cut off"],
      [forged([...block(-1), 9], 1, 1), "do not fit"],
      [forged(block(-1), 1, 2_000_000), "limit of 100000"],
      [new Uint8Array(3), "3 bytes"],
      [new Uint8Array(40), "not a sketch"]
    ]
    for (const [bytes, reason] of cases) expect(new ShadowKv(0, indexOf(), 4).importBlocks(bytes)).toContain(reason)
  })

  test("is read from any offset in memory", () => {
    const before = new ShadowKv(0, indexOf(), 50)
    serve(before, path(20))
    const bytes = before.exportBlocks()
    const moved = new Uint8Array(bytes.length + 3)
    moved.set(bytes, 3)
    const after = new ShadowKv(0, indexOf(), 50)
    expect(after.importBlocks(moved.subarray(3))).toBeUndefined()
    expect(after.cachedBlocks).toBe(20)
  })

  test("is refused when it lists a block twice", () => {
    const once = new ShadowKv(0, indexOf(), 4)
    serve(once, [1])
    const words = new Uint32Array(once.exportBlocks().buffer)
    const twice = forged([...words.slice(5), ...words.slice(5)], 2, 2)
    expect(new ShadowKv(0, indexOf(), 4).importBlocks(twice)).toContain("twice")
    const underTwoParents = forged([1, 2, 0, 5, 5, 1, 3, 0, 5, 5, 1, -1, 0, 7, 7, 1, -1, 0, 8, 8], 4, 4)
    const shadow = new ShadowKv(0, indexOf(), 4)
    shadow.importBlocks(underTwoParents)
    serve(shadow, path(4))
    expect(shadow.matchBlocks(chainOf(path(4)))).toBe(4)
  })
})

/** A sketch of any content under a correct checksum. */
const forged = (payload: ReadonlyArray<number>, segments: number, length: number): Uint8Array => {
  const words = Uint32Array.from([0x564b5257, 1, segments, length, 0, ...payload])
  let h = Math.imul(segments, 0x9e3779b1) ^ length
  for (const word of words.slice(5)) {
    h = Math.imul(h ^ word, 0x85ebca77)
    h = (h << 13) | (h >>> 19)
  }
  words[4] = h
  return new Uint8Array(words.buffer)
}

test("what is exported fits a pod that turned out smaller than what its requests hold", () => {
  const shadow = new ShadowKv(0, indexOf(), 50)
  const chain = chainOf(path(40))
  shadow.prefilled(shadow.admit(chain, 0, 0), chain, 0)
  shadow.resize(30)
  const other = new ShadowKv(0, indexOf(), 100)
  expect(other.importBlocks(shadow.exportBlocks())).toBeUndefined()
  expect(other.cachedBlocks).toBe(30)
  expect(other.matchBlocks(chain)).toBe(30)
})
