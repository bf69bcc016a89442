import { describe, expect, test } from "bun:test"
import { Either } from "effect"
import { podAddress } from "../../src/core/Pod.ts"
import type { Policy } from "../../src/core/Policy.ts"
import { makePolicy, type PolicyDescription } from "../../src/policies/registry.ts"
import { contextOf, pickCounts, policyOf } from "./fleet.ts"

const alone = (scorer: string, parameters: Record<string, unknown> = {}): Policy =>
  policyOf({
    type: "weighted",
    filters: [],
    scorers: [{ type: scorer, weight: 1, parameters }],
    picker: { type: "max-score-picker" }
  })

describe("llm-d-blend", () => {
  const blend = policyOf({ type: "llm-d-blend" })

  test("weighs queue 2, kv 2 and prefix 3 as worked out by hand", () => {
    // pod 0: queue (4-4)/(4-0) = 0, kv 1-0.5, prefix 0.9  -> 0 + 1.0 + 2.7 = 3.7
    // pod 1: queue 1,              kv 1-0.2, prefix 0     -> 2 + 1.6 + 0   = 3.6
    const pods = [{ waiting: 4, kvUsage: 0.5, hitTokens: 900 }, { kvUsage: 0.2 }]
    expect(blend.pick(contextOf(pods, 1000))).toBe(0)
    // At a hit of 0.85 the first has 3.55 and loses.
    expect(blend.pick(contextOf([{ ...pods[0], hitTokens: 850 }, { kvUsage: 0.2 }], 1000))).toBe(1)
  })
})

describe("llm-d-blend-lru", () => {
  test("adds 2 for the pod whose last cold request is longest ago", () => {
    // Kv 1 − 0.9 against 1 − 0.1: 2 · 0.8 = 1.6 behind. Both never used: 2 · 1 against 2 · 0 puts the first ahead;
    // after it, the second was never used and scores 1; then the first is the longer ago.
    const policy = policyOf({ type: "llm-d-blend-lru" })
    const context = contextOf([{ kvUsage: 0.9 }, { kvUsage: 0.1 }], 1000)
    expect([policy.pick(context), policy.pick(context), policy.pick(context)]).toEqual([0, 1, 0])
    // A hit of 0.1 adds 0.3 and takes the LRU out: 1.6 is more.
    context.hitTokens[0] = 100
    expect(policy.pick(context)).toBe(1)
  })
})

describe("llm-d-2026-08", () => {
  const policy = policyOf({ type: "llm-d-2026-08" })

  test("keeps to the warm pod, and else takes the fewest tokens in flight", () => {
    expect(policy.pick(contextOf([{}, { hitTokens: 800, prefillAheadTokens: 200_000 }], 1000))).toBe(1)
    // 500 + 1000 − 700 = 800 uncached tokens against 1000.
    expect(policy.pick(contextOf([{}, { hitTokens: 700, prefillAheadTokens: 500 }], 1000))).toBe(1)
    // 701 + 1000 − 700 = 1001 against 1000.
    expect(policy.pick(contextOf([{}, { hitTokens: 700, prefillAheadTokens: 701 }], 1000))).toBe(0)
  })
})

describe("scorers alone", () => {
  test("queue-scorer prefers the shortest scraped queue", () => {
    expect(alone("queue-scorer").pick(contextOf([{ waiting: 3 }, { waiting: 1 }, { waiting: 2 }], 10))).toBe(1)
  })

  test("running-requests-size-scorer prefers the fewest scraped running requests", () => {
    expect(alone("running-requests-size-scorer").pick(contextOf([{ running: 3 }, { running: 1 }], 10))).toBe(1)
  })

  test("kv-cache-utilization-scorer prefers the emptiest cache", () => {
    expect(alone("kv-cache-utilization-scorer").pick(contextOf([{ kvUsage: 0.9 }, { kvUsage: 0.1 }], 10))).toBe(1)
  })

  test("prefix-cache-scorer prefers the longest hit", () => {
    expect(alone("prefix-cache-scorer").pick(contextOf([{ hitTokens: 10 }, { hitTokens: 90 }], 100))).toBe(1)
  })

  test("active-request-scorer prefers the fewest of our own requests and treats idle ones alike", () => {
    expect(alone("active-request-scorer").pick(contextOf([{ decoding: 3 }, { prefilling: 1 }], 10))).toBe(1)
    const counts = pickCounts(
      alone("active-request-scorer", { idleThreshold: 2 }).pick,
      [{ decoding: 2 }, {}, { decoding: 3 }],
      10
    )
    expect(counts[0]).toBeGreaterThan(100)
    expect(counts[2]).toBe(0)
  })

  test("token-load-scorer adds the uncached part of this request to what is in flight", () => {
    // 3000 + 100 uncached against 2500 + 1000.
    const pods = [{ prefillAheadTokens: 3000, hitTokens: 900 }, { prefillAheadTokens: 2500 }]
    expect(alone("token-load-scorer").pick(contextOf(pods, 1000))).toBe(0)
  })
})

describe("load-aware-scorer", () => {
  test("falls from 0.5 to 0 at 128 waiting", () => {
    expect(alone("load-aware-scorer").pick(contextOf([{ waiting: 64 }, { waiting: 63 }], 10))).toBe(1)
    // 0.5 · (1 − 64/128) = 0.25 against 1 − 0.8 = 0.2 and 1 − 0.7 = 0.3 of the KV scorer.
    const profile = policyOf({
      type: "weighted",
      filters: [],
      scorers: [{ type: "load-aware-scorer", weight: 1 }, { type: "kv-cache-utilization-scorer", weight: 1 }],
      picker: { type: "max-score-picker" }
    })
    const pick = (kvUsage: number) =>
      profile.pick(contextOf([{ waiting: 64, kvUsage: 1 }, { waiting: 500, kvUsage }], 10))
    expect([pick(0.8), pick(0.7)]).toEqual([0, 1])
  })
})

describe("no-hit-lru-scorer", () => {
  test("deals cold requests out in turn, and forgets whose turn it was beyond its size", () => {
    const context = contextOf([{}, {}, {}], 1000)
    const turns = (policy: Policy) => Array.from({ length: 6 }, () => policy.pick(context))
    expect(turns(alone("no-hit-lru-scorer"))).toEqual([0, 1, 2, 0, 1, 2])
    // Remembers one: whoever was not last and comes first in the table.
    expect(turns(alone("no-hit-lru-scorer", { lruSize: 1 }))).toEqual([0, 1, 0, 1, 0, 1])
  })

  test("warm requests neither have a turn nor take one", () => {
    const policy = alone("no-hit-lru-scorer")
    const context = contextOf([{}, {}, {}], 1000)
    expect(policy.pick(context)).toBe(0)
    context.hitTokens[1] = 1
    context.candidates[0] = 1
    context.candidateCount = 1
    expect(policy.pick(context)).toBe(1)
    context.hitTokens[1] = 0
    context.candidates[0] = 0
    context.candidateCount = 3
    expect([policy.pick(context), policy.pick(context)]).toEqual([1, 2])
  })

  test("a new pod on the row of one that left has had no turn", () => {
    const policy = alone("no-hit-lru-scorer")
    const context = contextOf([{}, {}], 1000)
    expect([policy.pick(context), policy.pick(context), policy.pick(context)]).toEqual([0, 1, 0])
    context.table.remove(0)
    context.table.add(podAddress("10.0.0.2", 8000, false))
    expect(policy.pick(context)).toBe(0)
  })
})

describe("utilization-filter", () => {
  const withConditions = (parameters: Record<string, unknown>): Policy =>
    policyOf({
      type: "weighted",
      filters: [{ type: "utilization-filter", parameters }],
      scorers: [{ type: "prefix-cache-scorer", weight: 1 }],
      picker: { type: "max-score-picker" }
    })
  const busy = { hitTokens: 900, decoding: 2, prefilling: 1, running: 4, waiting: 5, kvUsage: 0.8 }

  test.each([
    ["active-requests", 3],
    ["running-requests", 4],
    ["waiting-queue", 5],
    ["kv-cache-utilization", 0.8]
  ])("keeps a pod whose %s is %d when that is the most allowed, and not when less is", (metric, value) => {
    const pick = (maxValue: number) =>
      withConditions({ conditions: [{ metric, maxValue }] }).pick(contextOf([{}, busy], 1000))
    expect([pick(value), pick(value - 0.1)]).toEqual([1, 0])
  })

  test("refuses the request when no pod is left, unless told to fall back", () => {
    const conditions = [{ metric: "waiting-queue", maxValue: 4 }]
    expect(withConditions({ conditions }).pick(contextOf([busy], 1000))).toBe(-1)
    expect(withConditions({ conditions, fallbackOnEmpty: true }).pick(contextOf([busy], 1000))).toBe(0)
  })
})

describe("prefix-cache-affinity-filter", () => {
  const sticky = policyOf({
    type: "weighted",
    filters: [{ type: "prefix-cache-affinity-filter" }],
    scorers: [{ type: "token-load-scorer", weight: 1 }],
    picker: { type: "max-score-picker" }
  })

  test("keeps to the pods that hold most of the prompt", () => {
    expect(sticky.pick(contextOf([{ hitTokens: 799 }, { hitTokens: 800, prefillAheadTokens: 10_000 }], 1000))).toBe(1)
  })

  test("lets go when the warm pod is more than the penalty behind", () => {
    // 18 s at 15,928 tokens/s are 286,704 tokens.
    const at = (tokens: number) => contextOf([{}, { hitTokens: 900, prefillAheadTokens: tokens }], 1000)
    expect(sticky.pick(at(286_704))).toBe(1)
    expect(sticky.pick(at(286_705))).toBe(0)
  })

  test("keeps every pod when none is warm", () => {
    expect(sticky.pick(contextOf([{ prefillAheadTokens: 10 }, {}], 1000))).toBe(1)
  })
})

describe("pickers", () => {
  const withPicker = (picker: string): Policy =>
    policyOf({
      type: "weighted",
      filters: [],
      scorers: [{ type: "kv-cache-utilization-scorer", weight: 1 }],
      picker: { type: picker }
    })

  test("weighted-random-picker goes by the score: nine times out of ten to the emptier", () => {
    const counts = pickCounts(withPicker("weighted-random-picker").pick, [{ kvUsage: 0.1 }, { kvUsage: 0.9 }], 10, 1000)
    expect(counts[0]).toBeGreaterThan(820)
    expect(counts[1]).toBeGreaterThan(40)
  })

  test("random-picker ignores the score", () => {
    const counts = pickCounts(withPicker("random-picker").pick, [{ kvUsage: 0 }, { kvUsage: 1 }], 10, 1000)
    for (const count of counts) expect(count).toBeGreaterThan(400)
  })
})

describe("a wrong description", () => {
  const refused = (description: PolicyDescription): string =>
    Either.match(makePolicy(description, 8), { onLeft: (why) => why, onRight: () => "accepted" })

  test("names the unknown policy and those there are", () => {
    expect(refused({ type: "fastest" })).toContain(
      `there is no policy "fastest"; there are: marginal-cost, round-robin`
    )
  })

  test("names the unknown scorer", () => {
    expect(refused({
      type: "weighted",
      filters: [],
      scorers: [{ type: "prefix-scorer", weight: 1 }],
      picker: { type: "max-score-picker" }
    })).toContain(`there is no scorer "prefix-scorer"; there are: queue-scorer`)
  })

  test("names the parameter that is unknown or out of range", () => {
    expect(refused({ type: "marginal-cost", parameters: { hystersis: 0.1 } })).toContain(`"hystersis"`)
    expect(refused({ type: "marginal-cost", parameters: { hysteresis: 2 } })).toContain(`parameter "hysteresis"`)
  })
})
