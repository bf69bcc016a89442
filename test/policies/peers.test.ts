import { describe, expect, test } from "bun:test"
import type { PickContext } from "../../src/core/Policy.ts"
import { WindowSums } from "../../src/policies/WindowSums.ts"
import { contextOf, pickCounts, type PodFacts, policyOf, requestOf } from "./fleet.ts"

/** Picks by a fresh policy for a prompt of 1000 tokens. */
const pickBy = (type: string, parameters: Record<string, unknown> = {}) => (pods: ReadonlyArray<PodFacts>): number =>
  policyOf({ type, parameters }).pick(contextOf(pods, 1000))

describe("smg-cache-aware", () => {
  const pick = pickBy("smg-cache-aware")

  test("takes the match above half of the prompt, and the lowest load at half of it", () => {
    expect(pick([{ decoding: 1 }, { hitTokens: 501, decoding: 20 }])).toBe(1)
    expect(pick([{ decoding: 1 }, { hitTokens: 500, decoding: 20 }])).toBe(0)
  })

  test("leaves the match only when its load passes both bounds", () => {
    // Loads 0 and 66: mean 33, bounds 36.3 and 65. Loads 0 and 64: mean 32, bounds 35.2 and 64, not above the second.
    expect(pick([{}, { hitTokens: 900, decoding: 66 }])).toBe(0)
    expect(pick([{}, { hitTokens: 900, decoding: 64 }])).toBe(1)
    // Loads 400 and 480: mean 440, bounds 484 and 472, not above the first.
    expect(pick([{ decoding: 400 }, { hitTokens: 900, decoding: 480 }])).toBe(1)
  })

  test("of equal matches takes the one with the lower load", () => {
    expect(pick([{}, { hitTokens: 900, decoding: 5 }, { hitTokens: 900, decoding: 4 }])).toBe(2)
  })
})

describe("smg-least-load", () => {
  const scraped = (pods: ReadonlyArray<PodFacts>): PickContext => {
    const context = contextOf(pods, 1000)
    context.table.observedAtS.fill(1)
    return context
  }

  test("adds the seconds queued and the KV barrier", () => {
    // 2 · 1024 / 2000 + 0.15 · 0.5/0.5 = 1.174, against 0.15 · 0.9/0.1 = 1.35 and 0.15 · 0.88/0.12 = 1.1.
    const policy = policyOf({ type: "smg-least-load" })
    expect(policy.pick(scraped([{ waiting: 2, kvUsage: 0.5 }, { kvUsage: 0.9 }]))).toBe(0)
    expect(policyOf({ type: "smg-least-load" }).pick(scraped([{ waiting: 2, kvUsage: 0.5 }, { kvUsage: 0.88 }]))).toBe(
      1
    )
  })

  test("counts the prompts it sent since the last poll, which is every ten seconds", () => {
    // 0 against 0.15; then 1000/2000 = 0.5 against 0.15; then 0.5 against 0.65 and so on, though scrapes come between.
    const policy = policyOf({ type: "smg-least-load" })
    const context = scraped([{}, { kvUsage: 0.5 }])
    const pickAt = (nowS: number): number => {
      context.nowS = nowS
      context.table.observedAtS.fill(nowS)
      return policy.pick(context)
    }
    expect([pickAt(1), pickAt(2), pickAt(3), pickAt(10.9)]).toEqual([0, 1, 0, 1])
    // The next poll makes it 0 against 0.15 again.
    expect([pickAt(11), pickAt(11)]).toEqual([0, 1])
  })

  test("does not pile everything on a pod that joined and was never scraped", () => {
    // 0.5, 1 and so on for what it is sent, against 0.15 and 0.65.
    const policy = policyOf({ type: "smg-least-load" })
    const context = scraped([{}, { kvUsage: 0.5 }])
    context.table.observedAtS[0] = -1
    expect([policy.pick(context), policy.pick(context), policy.pick(context)]).toEqual([0, 1, 0])
  })

  test("goes by open requests until a pod has been scraped", () => {
    expect(pickBy("smg-least-load")([{ decoding: 2 }, { decoding: 1, waiting: 9 }])).toBe(1)
  })
})

describe("sglang-cache-aware", () => {
  const pick = pickBy("sglang-cache-aware")

  test("goes by the shortest queue when loads differ by more than 64 and by half", () => {
    expect(pick([{}, { hitTokens: 900, decoding: 65 }])).toBe(0)
    expect(pick([{}, { hitTokens: 900, decoding: 64 }])).toBe(1)
    // 200 > 1.5 · 130 = 195, but 205 < 1.5 · 140 = 210.
    expect(pick([{ decoding: 130 }, { hitTokens: 900, decoding: 200 }])).toBe(0)
    expect(pick([{ decoding: 140 }, { hitTokens: 900, decoding: 205 }])).toBe(1)
  })

  test("below the threshold takes the pod that was sent fewest new tokens", () => {
    // Trees after 1000 and 10 tokens: x 1000, y 10; then y 20, 30, and 1030 after a prompt of 1000: x is smaller again.
    const policy = policyOf({ type: "sglang-cache-aware" })
    const context = contextOf([{}, {}], 1000)
    const send = (promptTokens: number): number => {
      context.request = requestOf(promptTokens)
      return policy.pick(context)
    }
    const x = send(1000)
    expect([send(10), send(10), send(1000), send(10)]).toEqual([1 - x, 1 - x, 1 - x, x])
  })

  test("takes the match above 0.3 of the prompt, and the smallest tree at 0.3", () => {
    expect(pick([{}, { hitTokens: 301 }])).toBe(1)
    const policy = policyOf({ type: "sglang-cache-aware" })
    const context = contextOf([{}, { hitTokens: 301 }], 1000)
    expect(policy.pick(context)).toBe(1)
    context.hitTokens[1] = 300
    expect(policy.pick(context)).toBe(0)
  })
})

describe("kv-aware", () => {
  test("multiplies the prefill tokens by the requests", () => {
    // (100 + 500) · (3 + 1) = 2400 against 1000 · (1 + 1) = 2000 and 1000 · (2 + 1) = 3000.
    const warm = { hitTokens: 900, prefillAheadTokens: 500, decoding: 2, prefilling: 1 }
    expect(pickBy("kv-aware")([warm, { decoding: 1 }])).toBe(1)
    expect(pickBy("kv-aware")([warm, { decoding: 2 }])).toBe(0)
  })

  test("goes by the hits while all pods are idle", () => {
    // 999 · 1 against 1000 · 1.
    expect(pickCounts(policyOf({ type: "kv-aware" }).pick, [{}, { hitTokens: 1 }], 1000, 20)).toEqual([0, 20])
  })
})

describe("dynamo-kv", () => {
  const pick = (used: readonly [number, number], parameters: Record<string, unknown> = {}): number => {
    const context = contextOf([{ hitTokens: 600 }, {}], 1000)
    context.table.blockSizeTokens.fill(10)
    context.table.usedTokens.set(used)
    return policyOf({ type: "dynamo-kv", parameters }).pick(context)
  }

  test("adds prefill and decode blocks", () => {
    // Of 100 blocks 60 are hit: 40 + (200 + 40) = 280 against 100 + (100 + 100) = 300 and 100 + (70 + 100) = 270.
    expect(pick([2000, 1000])).toBe(0)
    expect(pick([2000, 700])).toBe(1)
  })

  test("counts hits as blocks in use already as far as that many are in use", () => {
    // Without the prefill term 300 + 1000 − 300 = 1000 tokens against 1001, and 700 + 1000 − 600 = 1100 against 1099.
    expect(pick([300, 1], { prefillLoadScale: 0 })).toBe(0)
    expect(pick([700, 99], { prefillLoadScale: 0 })).toBe(1)
  })

  test("without credit for hits a warm pod is no cheaper to prefill on", () => {
    // 100 + 240 against 100 + 200.
    expect(pick([2000, 1000], { overlapScoreCredit: 0 })).toBe(1)
  })
})

describe("least-ttft", () => {
  test("waits for the warm pod as long as that is sooner", () => {
    // Cold: 0.1 s. Warm: 0.01 s after the queue. Half a step is 0.005 s, 0.0055 s with one request.
    const warm = (prefillAheadS: number): PodFacts => ({ hitTokens: 900, prefilling: 1, prefillAheadS })
    expect(pickBy("least-ttft")([{}, warm(0.08)])).toBe(1)
    expect(pickBy("least-ttft")([{}, warm(0.1)])).toBe(0)
  })

  test("counts that decodes slow prefill down", () => {
    // A step of 1000 tokens takes 0.1 s; 60 decodes add 0.06 s: 0.07 · 1.6 + step/2 = 0.112 + 0.036.
    expect(pickBy("least-ttft")([{}, { hitTokens: 300, decoding: 60 }])).toBe(0)
  })
})

describe("preble", () => {
  test("exploits a pod that has more cached than is left to compute, however loaded", () => {
    const policy = policyOf({ type: "preble" })
    const context = contextOf([{}, { hitTokens: 501 }], 1000)
    for (let i = 0; i < 5; i++) expect(policy.pick(context)).toBe(1)
    context.hitTokens[1] = 500
    expect(policy.pick(context)).toBe(0)
  })

  test("explores by the seconds placed over the last three minutes", () => {
    // Alone, 100 tokens decode in 100 · (√(0.01² + 0.0001²) + 0.001) = 1.1 s and prefill takes 0.0001 s a token.
    // x 1.0 + 1.1 = 2.1; y 1.2, then 2.4; so x is next, with 3.3; then y.
    const policy = policyOf({ type: "preble" })
    const context = contextOf([{}, {}], 10_000)
    const x = policy.pick(context)
    context.request = requestOf(1000)
    const next = () => policy.pick(context)
    expect([next(), next(), next(), next()]).toEqual([1 - x, 1 - x, x, 1 - x])
    // At 175 s x has 3.3 and y 3.6: x is given 1.3 more, then y 1.2. At 180 s only these count, so y is the lower one,
    // though with the older ones it would be 4.8 against 4.6.
    context.nowS = 175
    context.request = requestOf(2000)
    expect(next()).toBe(x)
    context.request = requestOf(1000)
    expect(next()).toBe(1 - x)
    context.nowS = 180
    expect(next()).toBe(1 - x)
  })

  test("prices evicted tokens by the share of hits on the pod", () => {
    // The first is sent 400 new tokens after 600 hits, the second 500; both 100 of output. That is 1.14 s and 500 tokens
    // cached against 1.15 s and 600. 1100 more tokens than fit evict 600 · 0.0001 · 0.6 = 0.036 s there, 0 s here.
    const policy = policyOf({ type: "preble" })
    const context = contextOf([{ hitTokens: 600 }, {}], 1000)
    context.table.kvCapacityTokens.fill(1000)
    expect(policy.pick(context)).toBe(0)
    context.hitTokens[0] = 0
    context.request = requestOf(500)
    expect(policy.pick(context)).toBe(1)
    context.request = requestOf(1000)
    expect(policy.pick(context)).toBe(1)
  })
})

describe("WindowSums", () => {
  test("forgets a slice at a time, and all of them after a pause", () => {
    const sums = new WindowSums(2, 180, 18)
    sums.add(1, 1, 0)
    sums.add(1, 2, 9.9)
    sums.add(1, 4, 10)
    expect([sums.sum(1, 179.9), sums.sum(1, 180), sums.sum(1, 189.9), sums.sum(1, 190)]).toEqual([7, 4, 4, 0])
    sums.add(1, 8, 190)
    sums.add(1, 16, 250)
    expect([sums.sum(1, 250), sums.sum(0, 250), sums.sum(1, 1000)]).toEqual([24, 0, 0])
  })
})

describe("power-of-two", () => {
  test("never takes the fullest of three, and the emptiest two times out of three", () => {
    const { pick } = policyOf({ type: "power-of-two" })
    const counts = pickCounts(pick, [{ decoding: 2 }, {}, { decoding: 1 }], 10, 900)
    expect(counts[0]).toBe(0)
    expect(counts[1]).toBeGreaterThan(520)
    expect(counts[2]).toBeGreaterThan(220)
  })
})
