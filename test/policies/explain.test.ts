import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import type { BlockChain } from "../../src/core/BlockChain.ts"
import type { RequestFeatures } from "../../src/core/RequestFeatures.ts"
import { policyNames } from "../../src/policies/registry.ts"
import { contextOf, pod, policyOf, requestOf, roundConstants, schedulerOf, seededRandom } from "./fleet.ts"

const chainOf = (group: number): BlockChain => ({
  low: Uint32Array.from({ length: 10 }, (_, i) => Math.imul(group * 1000 + i + 1, 2_654_435_761)),
  high: Uint32Array.from({ length: 10 }, (_, i) => Math.imul(group * 1000 + i + 1, 2_246_822_519)),
  length: 10
})

const request = (group: number, model = "m"): RequestFeatures => ({
  ...requestOf(165),
  model,
  chain: () => chainOf(group)
})

/** A fleet whose random numbers can be set back. */
const fleetOf = (policy: string, pods: number, openRequestsMax = 64) => {
  let random = seededRandom(1)
  const scheduler = schedulerOf(
    Array.from({ length: pods }, (_, index) => pod(index)),
    { policy: policyOf({ type: policy }), openRequestsMax, random: () => random() },
    { ...roundConstants, kvCapacityTokens: 16_000 }
  )
  return { scheduler, seed: (seed: number) => void (random = seededRandom(seed)) }
}

const step = fc.record({
  group: fc.nat({ max: 3 }),
  seed: fc.nat(),
  progress: fc.constantFrom("waits", "decodes", "ends")
})

describe("an explanation", () => {
  test.each(policyNames)("by %s names the pod that the next pick takes, and its predicted TTFT", (policy) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.array(step, { minLength: 1, maxLength: 30 }), (pods, steps) => {
        const { scheduler, seed } = fleetOf(policy, pods)
        for (const [at, { group, progress, seed: number }] of steps.entries()) {
          const nowS = at / 20
          seed(number)
          const told = scheduler.explain(request(group), nowS)
          seed(number)
          const placed = scheduler.pick(request(group), [], nowS)
          if (typeof placed === "string") throw new Error(placed)
          expect(told.picked).toBe(placed.address.id)
          expect(told.predictedTtftS).toBe(placed.predictedTtftS)
          expect(told.pods.find(({ id }) => id === told.picked)?.hitTokens).toBe(placed.hitTokens)
          if (progress !== "waits") scheduler.firstToken(placed.reservation, nowS)
          if (progress === "ends") scheduler.end(placed.reservation, { outputTokens: 10 }, nowS)
        }
      }),
      { numRuns: 50 }
    )
  })

  test.each(policyNames)("by %s changes nothing: reservations, sketches and the turn stay", (policy) => {
    const { scheduler, seed } = fleetOf(policy, 4)
    scheduler.pick(request(1), [], 0)
    const stateOf = () => structuredClone({ ...scheduler.table, sketch: scheduler.sketchBlocks })
    const before = stateOf()
    seed(7)
    const first = scheduler.explain(request(1), 1)
    seed(7)
    expect(scheduler.explain(request(1), 1)).toEqual(first)
    expect(stateOf()).toEqual(before)
    expect(scheduler.openRequests).toBe(1)
  })

  test("gives the terms that J adds up, for every candidate", () => {
    const { scheduler } = fleetOf("marginal-cost", 3)
    for (let group = 0; group < 5; group++) scheduler.pick(request(group), [], 0)
    for (const { values } of scheduler.explain(request(1), 0.01).pods) {
      const of = (key: string) => values[key] ?? Number.NaN
      expect(of("costS")).toBeCloseTo(8 * (of("ttftS") + of("queuePenaltyS")) + of("decodeS") + of("othersS"), 9)
      expect(of("ttftS")).toBeGreaterThan((of("ownPrefillS") + of("prefillAheadS")) * of("slowdown"))
    }
  })

  test("says why a pod is no candidate", () => {
    const { scheduler } = fleetOf("marginal-cost", 3)
    scheduler.observe(pod(0).id, false, 0, 0, 0, 0)
    scheduler.describe(pod(1).id, 16, 16_000, ["n"])
    const told = scheduler.explain(request(1), 0)
    expect(told.pods.map(({ excluded }) => excluded)).toEqual(["not-accepting", "other-model", undefined])
    expect([told.picked, told.why]).toEqual([pod(2).id, "it is the only pod that can take the request"])
  })

  test("says why nothing would be picked", () => {
    const { scheduler } = fleetOf("marginal-cost", 1, 1)
    expect(scheduler.explain(request(1, "unknown"), 0)).toMatchObject({ why: "no pod serves this model" })
    scheduler.pick(request(1), [], 0)
    const full = scheduler.explain(request(1), 0)
    expect([full.picked, full.predictedTtftS]).toEqual([undefined, undefined])
    expect(full.why).toContain("limits.openRequestsMax")
  })
})

describe("marginal-cost says", () => {
  const whyOf = (...pods: Parameters<typeof contextOf>[0]) =>
    policyOf({ type: "marginal-cost" }).explain?.(contextOf(pods, 1000))?.why

  test("that it stays for the hysteresis, and how little another pod would save", () => {
    expect(whyOf({}, { hitTokens: 500, decoding: 3 })).toBe(
      "stays on the pod with most hits: the cheapest, 10.0.0.1:8000, saves only 4.8 %, " +
        "less than the hysteresis of 20 % asks"
    )
  })

  test("that it leaves the pod with most hits, and what that saves", () => {
    expect(whyOf({}, { hitTokens: 500, decoding: 13 })).toMatch(
      /^leaves 10\.0\.0\.1:8001, the pod with most hits: 10\.0\.0\.1:8000 saves \d+ %, more than the hysteresis of 20 %/
    )
  })

  test("that nothing is cheaper than the pod with most hits, or that chance decides between equals", () => {
    expect(whyOf({}, { hitTokens: 960 })).toBe("it has most hits and no other pod is cheaper")
    expect(whyOf({}, {})).toBe("no pod holds any of the prompt and 2 are equally cheap: one of them at random")
  })
})
