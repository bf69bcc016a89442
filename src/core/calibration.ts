import { decodeStepSeconds, type EngineConstants, prefillSeconds } from "./EngineConstants.ts"
import { hardwarePresets } from "./hardwarePresets.ts"
import { type LeastSquares, nonNegativeLeastSquares } from "./leastSquares.ts"

/** TTFT of a prompt, nothing of it cached, alone on the pod. */
export interface PrefillSample {
  readonly promptTokens: number
  readonly ttftS: number
}

/** Time of a decode step of `requests` over `contextTokens` in all. */
export interface DecodeSample {
  readonly requests: number
  readonly contextTokens: number
  readonly stepS: number
}

/** What was measured on one pod, one sample a point. */
export interface CalibrationSamples {
  readonly prefill: ReadonlyArray<PrefillSample>
  readonly decode: ReadonlyArray<DecodeSample>
  readonly batchedTokensMax: number
  readonly kvCapacityTokens: number
}

export interface Calibration {
  readonly constants: EngineConstants
  /** TTFT beyond the model's own: network, parsing, queueing of an idle pod. */
  readonly pathS: number
}

/** A time as measured and as a set of constants has it. */
interface Comparison {
  readonly measuredS: number
  readonly predictedS: number
}

/** A clock and a network can't tell less apart, so that short times do not rule the fit. */
const TIME_FLOOR_S = 0.5e-3

/**
 * t0 and w are told apart only by how the step bends with the batch, which noise hides. Expected share of t0 in t0 + w
 * and its spread, from the presets; the cleaner the samples, the less it counts.
 */
const FIXED_SHARE = 0.15
const FIXED_SHARE_SPREAD = 0.1

/** Where attention hides the rest, as in toy models: the cost divides by a, which must not be zero. */
const PREFILL_LEAST_SHARE = 0.01

/** Relative error that even perfect samples are assumed to have. */
const ERROR_LEAST = 1e-7

/**
 * Fits the engine constants of DESIGN 5 by least squares of relative errors, all constants non-negative. Returns the
 * reason when the samples can't carry it. `prefill` wants 3 lengths, `decode` 3 batch sizes.
 */
export const fitEngine = (samples: CalibrationSamples): Calibration | string => {
  if (new Set(samples.prefill.map(({ promptTokens }) => promptTokens)).size < 3) {
    return "prefill was measured at fewer than 3 prompt lengths"
  }
  if (new Set(samples.decode.map(({ requests }) => requests)).size < 3) {
    return "decode was measured at fewer than 3 batch sizes"
  }
  const rough = fitPrefill(samples.prefill, () => 0)
  // A prompt beyond the limit is prefilled in several steps, each of which pays for the weights again.
  const step = fitDecode(samples.decode, rough.prefillTokenS)
  const emptyStepS = step.stepFixedS + step.weightReadS
  const extraSteps = (promptTokens: number): number => Math.ceil(promptTokens / samples.batchedTokensMax) - 1
  const prefill = fitPrefill(samples.prefill, (promptTokens) => extraSteps(promptTokens) * emptyStepS)
  if (prefill.prefillTokenS + prefill.attentionPairS <= 0) {
    return "TTFT does not grow with the prompt's length; are these prompts cached somewhere?"
  }
  const { batchedTokensMax, kvCapacityTokens } = samples
  const { attentionPairS } = prefill
  const leastTokenS = Math.min(...samples.prefill.map(({ promptTokens, ttftS }) => ttftS / promptTokens))
  const prefillTokenS = Math.max(prefill.prefillTokenS, leastTokenS * PREFILL_LEAST_SHARE)
  const decode = fitDecode(samples.decode, prefillTokenS)
  const constants = { prefillTokenS, attentionPairS, ...decode, batchedTokensMax, kvCapacityTokens }
  return { constants, pathS: Math.max(0, prefill.interceptS - decode.stepFixedS - decode.weightReadS) }
}

/** Rows and targets divided by the target, so that squares are those of relative errors. */
const fitRelative = (
  rows: ReadonlyArray<ReadonlyArray<number>>,
  targetsS: ReadonlyArray<number>,
  measuredS: ReadonlyArray<number>
): LeastSquares => {
  const weights = measuredS.map((timeS) => 1 / (timeS + TIME_FLOOR_S))
  return nonNegativeLeastSquares(
    rows.map((row, index) => row.map((value) => value * (weights[index] ?? 0))),
    targetsS.map((timeS, index) => timeS * (weights[index] ?? 0))
  )
}

/** TTFT = intercept + a·L + b·L²/2 + what `extraS` says. */
const fitPrefill = (samples: ReadonlyArray<PrefillSample>, extraS: (promptTokens: number) => number) => {
  const { coefficients } = fitRelative(
    samples.map(({ promptTokens }) => [1, promptTokens, (promptTokens * promptTokens) / 2]),
    samples.map(({ promptTokens, ttftS }) => ttftS - extraS(promptTokens)),
    samples.map(({ ttftS }) => ttftS)
  )
  const [interceptS = 0, prefillTokenS = 0, attentionPairS = 0] = coefficients
  return { interceptS, prefillTokenS, attentionPairS }
}

type DecodeConstants = Pick<EngineConstants, "weightReadS" | "stepFixedS" | "decodeRequestS" | "contextTokenS">

/** With w given, the step is linear in t0, c and d; so w is searched for and the rest solved. */
const fitDecode = (samples: ReadonlyArray<DecodeSample>, prefillTokenS: number): DecodeConstants => {
  const rows = samples.map(({ contextTokens, requests }) => [1, requests, contextTokens])
  const measuredS = samples.map(({ stepS }) => stepS)
  const solve = (weightReadS: number): LeastSquares =>
    fitRelative(
      rows,
      samples.map(({ requests, stepS }) => stepS - Math.hypot(weightReadS, prefillTokenS * requests)),
      measuredS
    )
  const mostS = Math.min(...measuredS)
  const free = Math.max(1, samples.length - 4)
  const leastSquares = solve(searchLeast(0, mostS, (weightReadS) => solve(weightReadS).squares)).squares
  const variance = Math.max(leastSquares / free, ERROR_LEAST * ERROR_LEAST)
  const weightReadS = searchLeast(0, mostS, (weightReadS) => {
    const { coefficients: [stepFixedS = 0], squares } = solve(weightReadS)
    const share = stepFixedS / Math.max(stepFixedS + weightReadS, Number.MIN_VALUE)
    return squares / variance + ((share - FIXED_SHARE) / FIXED_SHARE_SPREAD) ** 2
  })
  const { coefficients: [stepFixedS = 0, decodeRequestS = 0, contextTokenS = 0] } = solve(weightReadS)
  return { weightReadS, stepFixedS, decodeRequestS, contextTokenS }
}

const GRID_STEPS = 100
const GOLDEN_STEPS = 50
const GOLDEN = (Math.sqrt(5) - 1) / 2

/** Where `cost` is least between the bounds: the best point of a grid, then golden section around it. */
const searchLeast = (low: number, high: number, cost: (value: number) => number): number => {
  const width = (high - low) / GRID_STEPS
  let best = low
  let bestCost = cost(low)
  for (let step = 1; step <= GRID_STEPS; step++) {
    const value = low + step * width
    const valueCost = cost(value)
    if (valueCost < bestCost) [best, bestCost] = [value, valueCost]
  }
  let left = Math.max(low, best - width)
  let right = Math.min(high, best + width)
  for (let step = 0; step < GOLDEN_STEPS; step++) {
    const inner = (right - left) * GOLDEN
    if (cost(right - inner) < cost(left + inner)) right = left + inner
    else left = right - inner
  }
  return (left + right) / 2
}

/** TTFT that the constants predict for a prompt alone on a pod, without the path to it. */
export const predictedTtftS = (e: EngineConstants, promptTokens: number): number =>
  Math.ceil(promptTokens / e.batchedTokensMax) * decodeStepSeconds(e, 0, 0) + prefillSeconds(e, promptTokens, 0)

/** Root mean square of the logarithm of predicted against measured: 0.05 is about 5 % off. */
export const logError = (comparisons: ReadonlyArray<Comparison>): number =>
  comparisons.length === 0 ? 0 : Math.sqrt(
    comparisons.reduce(
      (sum, { measuredS, predictedS }) => sum + Math.log(Math.max(predictedS, 1e-9) / Math.max(measuredS, 1e-9)) ** 2,
      0
    ) / comparisons.length
  )

/** Share of the variance of the measured times that the predictions explain; 1 is all. */
export const rSquared = (comparisons: ReadonlyArray<Comparison>): number => {
  const mean = comparisons.reduce((sum, { measuredS }) => sum + measuredS, 0) / Math.max(1, comparisons.length)
  const total = comparisons.reduce((sum, { measuredS }) => sum + (measuredS - mean) ** 2, 0)
  const left = comparisons.reduce((sum, { measuredS, predictedS }) => sum + (measuredS - predictedS) ** 2, 0)
  return total === 0 ? 1 : 1 - left / total
}

/** Every sample against what `constants` predict, `pathS` on top of TTFT. */
export const compareSamples = (
  samples: Pick<CalibrationSamples, "prefill" | "decode">,
  { constants, pathS }: Calibration
): { readonly prefill: ReadonlyArray<Comparison>; readonly decode: ReadonlyArray<Comparison> } => ({
  prefill: samples.prefill.map(({ promptTokens, ttftS }) => ({
    measuredS: ttftS,
    predictedS: pathS + predictedTtftS(constants, promptTokens)
  })),
  decode: samples.decode.map(({ contextTokens, requests, stepS }) => ({
    measuredS: stepS,
    predictedS: decodeStepSeconds(constants, requests, contextTokens)
  }))
})

/** How far a preset is from the samples. */
export interface PresetDistance {
  readonly preset: string
  readonly prefillError: number
  readonly decodeError: number
}

/** The preset whose predictions come closest to the samples, given the measured path. */
export const nearestPreset = (
  samples: Pick<CalibrationSamples, "prefill" | "decode">,
  pathS: number
): PresetDistance | undefined =>
  Object.entries(hardwarePresets).map(([preset, constants]) => {
    const { decode, prefill } = compareSamples(samples, { constants, pathS })
    return { preset, prefillError: logError(prefill), decodeError: logError(decode) }
  }).sort((one, other) => one.prefillError + one.decodeError - other.prefillError - other.decodeError)[0]
