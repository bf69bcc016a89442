import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { policyNames } from "../../src/policies/registry.ts"
import { contextOf, pickCounts, type PodFacts, policyOf } from "./fleet.ts"

const podFacts: fc.Arbitrary<PodFacts> = fc.record({
  hitTokens: fc.integer({ min: 0, max: 999 }),
  decoding: fc.integer({ min: 0, max: 50 }),
  decodingTokens: fc.integer({ min: 0, max: 90_000 }),
  prefilling: fc.integer({ min: 0, max: 5 }),
  prefillAheadS: fc.double({ min: 0, max: 5, noNaN: true }),
  prefillAheadTokens: fc.integer({ min: 0, max: 500_000 }),
  waiting: fc.integer({ min: 0, max: 20 }),
  running: fc.integer({ min: 0, max: 50 }),
  kvUsage: fc.double({ min: 0, max: 1, noNaN: true })
})

describe("every policy", () => {
  test.each(policyNames)("%s picks one of its candidates, and the same one for the same seed", (name) => {
    fc.assert(
      fc.property(fc.array(podFacts, { minLength: 1, maxLength: 20 }), fc.nat(), (pods, seed) => {
        const row = policyOf({ type: name }).pick(contextOf(pods, 1000, { seed }))
        expect(row).toBeGreaterThanOrEqual(0)
        expect(row).toBeLessThan(pods.length)
        expect(policyOf({ type: name }).pick(contextOf(pods, 1000, { seed }))).toBe(row)
      })
    )
  })
})

describe("marginal-cost", () => {
  const policy = policyOf({ type: "marginal-cost" })
  const pick = (pods: ReadonlyArray<PodFacts>, promptTokens = 1000) => policy.pick(contextOf(pods, promptTokens))

  test("takes the pod that holds the prefix when all are idle", () => {
    expect(pick([{}, { hitTokens: 960 }, {}])).toBe(1)
  })

  test("leaves the warm pod once its queue costs more than the prefill saved", () => {
    // Saved: 0.096 s of prefill. Ahead there: 0.02 s is worth waiting for, 2 s is not.
    expect(pick([{}, { hitTokens: 960, prefilling: 1, prefillAheadS: 0.02 }])).toBe(1)
    expect(pick([{}, { hitTokens: 960, prefilling: 4, prefillAheadS: 2 }])).toBe(0)
  })

  test("stays on the warm pod unless another is cheaper by more than the hysteresis", () => {
    // Worked by hand with the round constants, L = 1000, O = 100 and no attention term:
    // cold idle: own 0.1, T 0.105, Q 0.1^2 / 0.5 = 0.02, D 100 * s(1) = 1.1, J = 8 * 0.125 + 1.1 = 2.1
    // warm with 13 decoding: own 0.05, s(13) = 0.0231, T 0.05 * 1.13 + 0.0115 = 0.068, Q 0.005,
    // D 100 * s(14) = 2.41, X 13 * (0.05 + 100 * 0.001 / 2) = 1.3: J = 4.29, far above; with one J = 1.79 < 2.1.
    expect(pick([{}, { hitTokens: 500, decoding: 13 }])).toBe(0)
    expect(pick([{}, { hitTokens: 500, decoding: 1 }])).toBe(1)
    // With 3 decoding J is 2.205: above the cold pod, but inside the hysteresis.
    expect(pick([{}, { hitTokens: 500, decoding: 3 }])).toBe(1)
    const eager = policyOf({ type: "marginal-cost", parameters: { hysteresis: 0 } })
    expect(eager.pick(contextOf([{}, { hitTokens: 500, decoding: 3 }], 1000))).toBe(0)
  })

  test("counts what its decode costs the others there", () => {
    // As above with 6 decoding: 8 * 0.066 + D 1.70 + 6 * own 0.05 = 2.53, inside the hysteresis of 2.1 / 0.8 = 2.625;
    // my part of half their steps, 6 * 100 * 0.001 / 2 = 0.3, takes it out.
    expect(pick([{}, { hitTokens: 500, decoding: 6 }])).toBe(0)
  })

  test("counts what others put on a pod", () => {
    expect(pick([{ foreignRunning: 20 }, {}])).toBe(1)
  })

  test("avoids a pod whose KV is full when another has room", () => {
    const full = contextOf([{ decoding: 2, decodingTokens: 99_000 }, { decoding: 2, decodingTokens: 99_000 }], 1000)
    full.table.usedTokens[0] = 100_000
    full.table.usedTokens[1] = 10_000
    expect(policy.pick(full)).toBe(1)
  })

  test("spreads equal pods at random", () => {
    for (const count of pickCounts(policy.pick, [{}, {}, {}, {}], 1000)) expect(count).toBeGreaterThan(50)
  })
})

describe("round-robin", () => {
  test("goes through the pods in turn, also when one leaves", () => {
    const policy = policyOf({ type: "round-robin" })
    const context = contextOf([{}, {}, {}], 10)
    const turns = Array.from({ length: 5 }, () => policy.pick(context))
    expect(turns).toEqual([0, 1, 2, 0, 1])
    context.candidates.set([0, 2])
    context.candidateCount = 2
    expect([policy.pick(context), policy.pick(context), policy.pick(context)]).toEqual([2, 0, 2])
  })
})

describe("random", () => {
  test("reaches every pod about as often", () => {
    for (const count of pickCounts(policyOf({ type: "random" }).pick, [{}, {}, {}, {}], 10)) {
      expect(count).toBeGreaterThan(50)
    }
  })
})

describe("least-requests", () => {
  const policy = policyOf({ type: "least-requests" })

  test("takes the pod with fewest open requests, prefilling ones counted", () => {
    expect(policy.pick(contextOf([{ decoding: 2 }, { decoding: 1 }, { decoding: 1, prefilling: 1 }], 10))).toBe(1)
  })

  test("breaks ties at random", () => {
    const counts = pickCounts(policy.pick, [{ decoding: 1 }, { decoding: 1 }, { decoding: 2 }], 10)
    expect(counts[0]).toBeGreaterThan(100)
    expect(counts[1]).toBeGreaterThan(100)
    expect(counts[2]).toBe(0)
  })
})
