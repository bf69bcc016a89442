import { describe, expect, test } from "bun:test"
import { podAddress } from "../../src/core/Pod.ts"
import { PodTable } from "../../src/core/PodTable.ts"
import type { Policy } from "../../src/core/Policy.ts"
import { HashRing } from "../../src/policies/HashRing.ts"
import { contextOf, pickCounts, policyOf, promptOf, requestOf } from "./fleet.ts"

const fleetOf = (pods: number) => {
  const context = contextOf(Array.from({ length: pods }, () => ({})), 100)
  context.table.blockSizeTokens.fill(16)
  return context
}

const without = (context: ReturnType<typeof fleetOf>, row: number): void => {
  const rows = context.candidates.filter((each) => each !== row)
  context.candidates.set(rows)
  context.candidateCount = rows.length
}

/** The pod of each of 400 sessions. */
const homesOf = (policy: Policy, context: ReturnType<typeof fleetOf>): ReadonlyArray<number> =>
  Array.from({ length: 400 }, (_, session) => {
    context.request = { ...requestOf(100), sessionHash: session + 1 }
    return policy.pick(context)
  })

describe("session-hash", () => {
  test("spreads sessions evenly, keeps each, and moves only those of a pod that leaves", () => {
    const policy = policyOf({ type: "session-hash" })
    const context = fleetOf(4)
    const before = homesOf(policy, context)
    for (let row = 0; row < 4; row++) expect(before.filter((home) => home === row).length).toBeGreaterThan(60)
    expect(homesOf(policy, context)).toEqual(before)
    without(context, 2)
    const after = homesOf(policy, context)
    before.forEach((home, session) =>
      home === 2 ? expect(after[session]).not.toBe(2) : expect(after[session]).toBe(home)
    )
  })

  test("goes by the pod and not by its row", () => {
    const policy = policyOf({ type: "session-hash" })
    const context = fleetOf(3)
    const before = homesOf(policy, context)
    const [first, second] = [context.table.addresses[0], context.table.addresses[1]]
    if (first === undefined || second === undefined) throw new Error("two pods expected")
    context.table.remove(0)
    context.table.remove(1)
    context.table.add(second)
    context.table.add(first)
    const swapped = before.map((home) => home === 0 ? 1 : home === 1 ? 0 : home)
    expect(homesOf(policy, context)).toEqual(swapped)
  })

  test("falls back to the first block of the prompt", () => {
    const policy = policyOf({ type: "session-hash" })
    const context = fleetOf(8)
    const pick = (...hashes: ReadonlyArray<number>): number => {
      context.request = promptOf(...hashes)
      return policy.pick(context)
    }
    expect(new Set(Array.from({ length: 20 }, (_, i) => pick(7, i))).size).toBe(1)
    expect(new Set(Array.from({ length: 20 }, (_, i) => pick(i, 7))).size).toBeGreaterThan(4)
  })

  test("goes by the header or cookie that the operator names, before what else a request brings", () => {
    const sources = [{ header: "X-Conversation" }, { cookie: "sid" }]
    const policy = policyOf({ type: "session-hash", parameters: { sources } })
    const context = fleetOf(8)
    const podsOf = (headersOf: (i: number) => Record<string, string>) =>
      new Set(Array.from({ length: 20 }, (_, i) => {
        context.request = { ...requestOf(100), headers: new Headers(headersOf(i)), sessionHash: i + 1 }
        return policy.pick(context)
      })).size
    expect(podsOf(() => ({ "x-conversation": "c" }))).toBe(1)
    expect(podsOf((i) => ({ "x-conversation": `c-${i}` }))).toBeGreaterThan(4)
    expect(podsOf((i) => ({ cookie: `other=${i}; sid=c` }))).toBe(1)
    expect(podsOf(() => ({ "x-other": "c" }))).toBeGreaterThan(4)
    expect(policy.explain?.(context).why).toBe("the session belongs to it")
  })

  test("without any key takes pods at random", () => {
    for (const count of pickCounts(policyOf({ type: "session-hash" }).pick, [{}, {}, {}, {}], 10)) {
      expect(count).toBeGreaterThan(50)
    }
  })
})

describe("chwbl", () => {
  test("goes by the block in which the 25th token lies", () => {
    const policy = policyOf({ type: "chwbl" })
    const context = fleetOf(8)
    const pick = (...hashes: ReadonlyArray<number>): number => {
      context.request = promptOf(...hashes)
      return policy.pick(context)
    }
    expect(new Set(Array.from({ length: 20 }, (_, i) => pick(1, 7, i))).size).toBe(1)
    expect(new Set(Array.from({ length: 20 }, (_, i) => pick(1, i, 7))).size).toBeGreaterThan(4)
  })

  test("passes a pod over while it is above 1.25 times the mean", () => {
    const policy = policyOf({ type: "chwbl" })
    const context = fleetOf(4)
    context.request = promptOf(1, 2, 3)
    const home = policy.pick(context)
    const pickAt = (homeLoad: number, load: number): number => {
      context.table.decoding.fill(load)
      context.table.decoding[home] = homeLoad
      return policy.pick(context)
    }
    // Bounds 1.25 · (5 + 1)/4 = 1.875, 1.25 · (4 + 1)/4 = 1.5625 and 1.25 · (9 + 1)/4 = 3.125.
    expect(pickAt(2, 1)).not.toBe(home)
    expect(pickAt(1, 1)).toBe(home)
    expect(pickAt(3, 2)).toBe(home)
  })

  test("a prompt shorter than a block goes where fewest requests are open", () => {
    expect(policyOf({ type: "chwbl" }).pick(contextOf([{ decoding: 2 }, { decoding: 1 }], 10))).toBe(1)
  })
})

describe("HashRing", () => {
  const keys = Array.from({ length: 4000 }, (_, i) => Math.imul(i, 2_654_435_761) >>> 0)
  const homes = (ring: HashRing, table: PodTable): ReadonlyArray<string> =>
    keys.map((key) => table.addresses[ring.rowAt(ring.positionOf(key))]?.id ?? "none")
  const address = (pod: number) => podAddress("10.0.0.1", 8000 + pod, false)

  test("gives pods like shares, moves only the keys of one that leaves, and gives them back", () => {
    const table = new PodTable(8)
    const ring = new HashRing(256)
    for (let pod = 0; pod < 8; pod++) table.add(address(pod))
    ring.follow(table)
    const before = homes(ring, table)
    for (let pod = 0; pod < 8; pod++) {
      const share = before.filter((home) => home === address(pod).id).length / keys.length
      expect(share).toBeGreaterThan(0.125 / 1.35)
      expect(share).toBeLessThan(0.125 * 1.35)
    }
    table.remove(3)
    ring.follow(table)
    expect(ring.size).toBe(7 * 256)
    const gone = address(3).id
    homes(ring, table).forEach((home, i) =>
      before[i] === gone ? expect(home).not.toBe(gone) : expect(home).toBe(before[i]!)
    )
    table.remove(5)
    table.add(address(5))
    table.add(address(3))
    ring.follow(table)
    expect(homes(ring, table)).toEqual(before)
  })
})
