import { describe, expect, test } from "bun:test"
import {
  decodingRequests,
  kvShortageS,
  openContextTokens,
  openRequests,
  ownPrefillS,
  predictTtftS,
  prefillAheadS,
  prefillSlowdown,
  stepS
} from "../../src/core/cost.ts"
import type { EngineConstants } from "../../src/core/EngineConstants.ts"
import { contextOf, roundConstants } from "../policies/fleet.ts"

const withAttention: EngineConstants = { ...roundConstants, attentionPairS: 1e-8, contextTokenS: 1e-6 }

test("own prefill is a*u + b*u*(h + u/2)", () => {
  const { table } = contextOf([{}], 1000, { constants: withAttention })
  // u = 600, h = 400: 0.06 + 1e-8 * 600 * 700 = 0.0642
  expect(ownPrefillS(table, 0, 1000, 400)).toBeCloseTo(0.0642, 12)
  expect(ownPrefillS(table, 0, 1000, 1000)).toBe(0)
})

describe("prefill ahead", () => {
  test("shrinks with the time since the last first token, by 70 % at most", () => {
    const { table } = contextOf([{ prefilling: 2, prefillAheadS: 1 }], 1000)
    table.prefillSinceS[0] = 10
    expect(prefillAheadS(table, 0, 10)).toBe(1)
    expect(prefillAheadS(table, 0, 10.4)).toBeCloseTo(0.6, 12)
    expect(prefillAheadS(table, 0, 99)).toBeCloseTo(0.3, 12)
  })

  test("counts a foreign waiting request as an average one of ours", () => {
    const { table } = contextOf([{ prefilling: 2, prefillAheadS: 1 }], 1000)
    table.foreignWaiting[0] = 3
    expect(prefillAheadS(table, 0, 0)).toBeCloseTo(2.5, 12)
  })
})

test("prefill slows down by what decodes take of each of its steps", () => {
  const { table } = contextOf([{ decoding: 10, decodingTokens: 20_000 }], 1000, { constants: withAttention })
  // (1e-6 * 20000 + 0.001 * 10) / (1000 * 0.0001) = 0.3
  expect(prefillSlowdown(table, 0)).toBeCloseTo(1.3, 12)
})

test("a step is t0 + sqrt(w^2 + (a*n)^2) + c*n + d*K", () => {
  const { table } = contextOf([{}], 1000, { constants: { ...withAttention, stepFixedS: 0.002, prefillTokenS: 0.001 } })
  // n = 10: sqrt(0.01^2 + 0.01^2) = 0.0141421..., + 0.002 + 0.01 + 0.005
  expect(stepS(table, 0, 10, 5000)).toBeCloseTo(0.002 + Math.SQRT2 * 0.01 + 0.01 + 0.005, 12)
})

test("requests of others count beside our own", () => {
  const { table } = contextOf([{ decoding: 2, decodingTokens: 2000, prefilling: 1, foreignRunning: 3 }], 1000)
  table.foreignWaiting[0] = 1
  expect(decodingRequests(table, 0)).toBe(5)
  expect(openRequests(table, 0)).toBe(7)
  // 2000 tokens of ours for 3 requests, 4 foreign ones as large on average.
  expect(openContextTokens(table, 0)).toBeCloseTo(2000 * (1 + 4 / 3), 9)
})

describe("KV shortage", () => {
  test("is nothing while there is room", () => {
    const context = contextOf([{ decoding: 2, decodingTokens: 10_000 }], 1000)
    context.table.usedTokens[0] = 90_000
    expect(kvShortageS(context, 0, 1000)).toBe(0)
  })

  test("is the time in which the running requests give back what is missing", () => {
    const context = contextOf([{ decoding: 2, decodingTokens: 10_000 }], 1000, { outputTokens: 100 })
    context.table.usedTokens[0] = 99_000
    // missing 99000 + 100*2/2 + 1000 + 100 - 100000 = 200; drain 100 * s(2): s = sqrt(1e-4 + 4e-8) + 0.002
    const stepSeconds = Math.sqrt(1e-4 + 4e-8) + 0.002
    expect(kvShortageS(context, 0, 1000)).toBeCloseTo((200 / 10_000) * 100 * stepSeconds, 12)
  })

  test("counts what the running requests have generated since their first tokens, to what is expected of them", () => {
    const context = contextOf([{ decoding: 2, decodingTokens: 10_000 }], 1000, { outputTokens: 100 })
    context.table.usedTokens[0] = 99_000
    const stepSeconds = Math.sqrt(1e-4 + 4e-8) + 0.002
    const drained = (tokens: number) => (tokens / 10_000) * 100 * stepSeconds
    context.table.decodingSinceS[0] = 2 * 50
    context.nowS = 50 + 30 * stepSeconds
    expect(kvShortageS(context, 0, 1000)).toBeCloseTo(drained(200 + 2 * 30), 9)
    context.nowS = 1000
    expect(kvShortageS(context, 0, 1000)).toBeCloseTo(drained(200 + 2 * 100), 9)
  })
})

test("predicted TTFT adds the queue, the own prefill, half a step and the KV shortage", () => {
  const context = contextOf([{ decoding: 10, prefilling: 1, prefillAheadS: 0.5, hitTokens: 400 }], 1000)
  // slowdown 1 + 0.01 / 0.1 = 1.1; step(11) = sqrt(1e-4 + 1.21e-6) + 0.011
  const step = Math.sqrt(1e-4 + 1.21e-6) + 0.011
  expect(predictTtftS(context, 0, 0.25)).toBeCloseTo((0.5 + 0.06) * 1.1 + step / 2, 12)
})
