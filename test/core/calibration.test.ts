import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import {
  type CalibrationSamples,
  compareSamples,
  fitEngine,
  logError,
  nearestPreset,
  predictedTtftS
} from "../../src/core/calibration.ts"
import { decodeStepSeconds, type EngineConstants } from "../../src/core/EngineConstants.ts"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import { nonNegativeLeastSquares } from "../../src/core/leastSquares.ts"

const lengths = [256, 512, 1024, 2048, 4096, 8192, 16_384, 32_000]
const batches = [[1, 300], [2, 300], [4, 300], [8, 300], [16, 300], [32, 300], [64, 300], [128, 300]] as const
const contexts = [[8, 8192], [16, 4096], [4, 16_384], [1, 16_384]] as const

/** What a pod with these constants would measure; `noise` gives one factor a sample. */
const samplesOf = (e: EngineConstants, pathS: number, noise: (index: number) => number): CalibrationSamples => ({
  prefill: lengths.map((promptTokens, index) => ({
    promptTokens,
    ttftS: (pathS + predictedTtftS(e, promptTokens)) * noise(index)
  })),
  decode: [...batches, ...contexts].map(([requests, tokens], index) => ({
    requests,
    contextTokens: requests * tokens,
    stepS: decodeStepSeconds(e, requests, requests * tokens) * noise(lengths.length + index)
  })),
  batchedTokensMax: e.batchedTokensMax,
  kvCapacityTokens: e.kvCapacityTokens
})

/** From a small model on a fast GPU to a big one on a slow GPU. */
const engines = fc.record({
  prefillTokenS: fc.double({ min: 10e-6, max: 400e-6, noNaN: true }),
  attentionShare: fc.double({ min: 0.05, max: 1.5, noNaN: true }),
  weightReadS: fc.double({ min: 3e-3, max: 40e-3, noNaN: true }),
  fixedShare: fc.double({ min: 0.05, max: 0.3, noNaN: true }),
  requestShare: fc.double({ min: 0.1, max: 1, noNaN: true }),
  contextShare: fc.double({ min: 0.1, max: 1, noNaN: true }),
  batchedTokensMax: fc.constantFrom(2048, 8192, 16_384)
}).map(({ attentionShare, batchedTokensMax, contextShare, fixedShare, prefillTokenS, requestShare, weightReadS }) => ({
  prefillTokenS,
  // The shares say what a term adds at 16k tokens, or 128 requests, in proportion to the main one.
  attentionPairS: prefillTokenS * attentionShare / 8192,
  weightReadS,
  stepFixedS: weightReadS * fixedShare,
  decodeRequestS: weightReadS * requestShare / 128,
  contextTokenS: weightReadS * contextShare / 65_536,
  batchedTokensMax,
  kvCapacityTokens: 100_000
}))

const fitted = (samples: CalibrationSamples) => {
  const calibration = fitEngine(samples)
  if (typeof calibration === "string") throw new Error(calibration)
  return calibration
}

const within = (share: number, value: number, wanted: number): void => {
  expect(Math.abs(value / wanted - 1)).toBeLessThan(share)
}

describe("the fit", () => {
  test("recovers every constant from samples without noise", () => {
    fc.assert(
      fc.property(engines, fc.double({ min: 0, max: 0.02, noNaN: true }), (engine, pathS) => {
        const { constants, pathS: fittedPathS } = fitted(samplesOf(engine, pathS, () => 1))
        within(0.01, constants.prefillTokenS, engine.prefillTokenS)
        within(0.01, constants.attentionPairS, engine.attentionPairS)
        within(0.02, constants.weightReadS, engine.weightReadS)
        within(0.1, constants.stepFixedS, engine.stepFixedS)
        within(0.05, constants.decodeRequestS, engine.decodeRequestS)
        within(0.01, constants.contextTokenS, engine.contextTokenS)
        expect(Math.abs(fittedPathS - pathS)).toBeLessThan(1e-3)
      }),
      { numRuns: 60 }
    )
  })

  test("predicts as well as it was measured, from samples that are up to 5 % off", () => {
    const noises = fc.array(fc.double({ min: 0.95, max: 1.05, noNaN: true }), { minLength: 24, maxLength: 24 })
    fc.assert(
      fc.property(engines, noises, (engine, noise) => {
        const { constants, pathS } = fitted(samplesOf(engine, 0.004, (index) => noise[index] ?? 1))
        const { decode, prefill } = compareSamples(samplesOf(engine, 0.004, () => 1), { constants, pathS })
        // Fitting is a projection, so it can't add to the error of the samples; the expected share of t0 may, a little.
        expect(logError(prefill)).toBeLessThan(0.07)
        expect(logError(decode)).toBeLessThan(0.07)
      }),
      { numRuns: 60 }
    )
  })

  test("is never negative, whatever the times are", () => {
    const times = fc.array(fc.double({ min: 1e-4, max: 10, noNaN: true }), { minLength: 24, maxLength: 24 })
    fc.assert(
      fc.property(engines, times, (engine, factors) => {
        const calibration = fitEngine(samplesOf(engine, 0, (index) => factors[index] ?? 1))
        if (typeof calibration === "string") return
        for (const value of Object.values(calibration.constants)) expect(value).toBeGreaterThanOrEqual(0)
        expect(calibration.constants.prefillTokenS).toBeGreaterThan(0)
      }),
      { numRuns: 60 }
    )
  })

  test("says what is missing", () => {
    const samples = samplesOf(engineOf("small"), 0, () => 1)
    expect(fitEngine({ ...samples, prefill: samples.prefill.slice(0, 2) })).toContain("fewer than 3 prompt lengths")
    expect(fitEngine({ ...samples, decode: samples.decode.slice(0, 2) })).toContain("fewer than 3 batch sizes")
    const flat = samples.prefill.map(({ promptTokens }) => ({ promptTokens, ttftS: 0.02 }))
    expect(fitEngine({ ...samples, prefill: flat })).toContain("does not grow")
  })
})

test("a prompt that takes only attention still has a positive time a token", () => {
  const samples = samplesOf(engineOf("small"), 0, () => 1)
  const prefill = samples.prefill.map(({ promptTokens }) => ({ promptTokens, ttftS: 1e-8 * promptTokens ** 2 + 1e-3 }))
  const { constants } = fitted({ ...samples, prefill })
  expect(constants.prefillTokenS).toBeGreaterThan(0)
  within(0.05, constants.attentionPairS, 2e-8)
})

const engineOf = (preset: string): EngineConstants => {
  const engine = hardwarePresets[preset]
  if (engine === undefined) throw new Error(`no preset ${preset}`)
  return engine
}

test.each(Object.keys(hardwarePresets))("the preset nearest to samples of %s is itself", (preset) => {
  const nearest = nearestPreset(samplesOf(engineOf(preset), 0.003, () => 1.1), 0.003)
  expect(nearest?.preset).toBe(preset)
  expect(nearest?.decodeError).toBeCloseTo(Math.log(1.1), 5)
})

test("an error of a tenth everywhere is told as such", () => {
  expect(logError([{ measuredS: 1, predictedS: 1.1 }, { measuredS: 2, predictedS: 2 / 1.1 }])).toBeCloseTo(0.0953, 3)
})

describe("non-negative least squares", () => {
  test("leaves at zero what would be negative", () => {
    const { coefficients } = nonNegativeLeastSquares([[1, 1], [1, 2], [1, 3]], [3, 2, 1])
    expect(coefficients).toEqual([expect.closeTo(2, 9), 0])
  })

  test("leaves one of two equal columns at zero", () => {
    const { coefficients, squares } = nonNegativeLeastSquares([[1, 1], [2, 2]], [3, 6])
    expect(coefficients.toSorted()).toEqual([0, expect.closeTo(3, 9)])
    expect(squares).toBeCloseTo(0, 12)
  })
})
