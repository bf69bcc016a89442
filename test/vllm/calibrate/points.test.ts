import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { batchedTokensFrom, decodePoints, OUTPUT_TOKENS, prefillLengths } from "../../../src/vllm/calibrate/points.ts"

const limits = fc.record({
  maxModelLen: fc.integer({ min: 512, max: 1_000_000 }),
  kvCapacityTokens: fc.option(fc.integer({ min: 2048, max: 4_000_000 }), { nil: undefined })
})

describe("points", () => {
  test("prompt lengths rise and fit the model and the KV cache", () => {
    fc.assert(fc.property(limits, (pod) => {
      const lengths = prefillLengths(pod)
      expect(lengths.length).toBeGreaterThanOrEqual(4)
      expect(lengths).toEqual([...new Set(lengths)].toSorted((a, b) => a - b))
      expect(lengths.at(-1)).toBeLessThan(Math.min(pod.maxModelLen, pod.kvCapacityTokens ?? Infinity))
    }))
  })

  test("every decode point has room to decode and none could make the pod preempt", () => {
    fc.assert(fc.property(limits, (pod) => {
      for (const { promptTokens, requests } of decodePoints(pod)) {
        const outputTokens = Math.min(OUTPUT_TOKENS, pod.maxModelLen - promptTokens)
        expect(outputTokens).toBeGreaterThanOrEqual(Math.min(OUTPUT_TOKENS, Math.floor(pod.maxModelLen / 4)))
        expect(requests * (promptTokens + outputTokens)).toBeLessThan(pod.kvCapacityTokens ?? Infinity)
      }
    }))
  })

  test("a large pod is measured at every batch size and at long contexts", () => {
    const points = decodePoints({ maxModelLen: 32_768, kvCapacityTokens: 335_000 })
    expect([...new Set(points.map(({ requests }) => requests))].toSorted((a, b) => a - b)).toEqual(
      [1, 2, 4, 8, 16, 32, 64, 128]
    )
    expect(Math.max(...points.map(({ promptTokens }) => promptTokens))).toBe(8192)
  })

  test("a pod that holds next to nothing has no lengths", () => {
    expect(prefillLengths({ maxModelLen: 20, kvCapacityTokens: 1000 })).toEqual([])
  })
})

describe("the tokens that a step may prefill", () => {
  test("are found from the steps that a long prompt took, beside one that decodes", () => {
    for (const batchedTokens of [512, 1024, 2048, 4096, 8192, 16_384]) {
      const perStep = batchedTokens - 1
      expect(batchedTokensFrom(32_760, Math.round(32_760 / perStep))).toBe(batchedTokens)
    }
  })

  test("that are no power of two are said as they are", () => {
    expect(batchedTokensFrom(32_000, 6)).toBe(5334)
  })

  test("stay unknown when the prompt was not split", () => {
    expect(batchedTokensFrom(4096, 1)).toBeUndefined()
    expect(batchedTokensFrom(4096, 0)).toBeUndefined()
  })
})
