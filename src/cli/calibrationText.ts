import {
  type Calibration,
  type CalibrationSamples,
  compareSamples,
  logError,
  type PresetDistance,
  rSquared
} from "../core/calibration.ts"
import type { EngineConstants } from "../core/EngineConstants.ts"
import type { PodMeasurements } from "../vllm/calibrate/measurePod.ts"

/** All that one calibration has to say. */
export interface Calibrated {
  readonly url: string
  readonly measured: PodMeasurements
  readonly samples: CalibrationSamples
  readonly fitted: Calibration
  readonly nearest: PresetDistance | undefined
}

const DIGITS = 4

const rounded = (value: number): number => Number(value.toPrecision(DIGITS))

/** In the order and with the names of the setting `hardware`. */
const settings: ReadonlyArray<readonly [keyof EngineConstants, string]> = [
  ["prefillTokenS", "prefill compute of one token"],
  ["attentionPairS", "attention of one prefilled token to one token before it"],
  ["weightReadS", "reading the weights once"],
  ["stepFixedS", "fixed time of an engine step"],
  ["decodeRequestS", "one more decoding request in a step"],
  ["contextTokenS", "one more context token read in a decode step"],
  ["batchedTokensMax", "tokens that one step may prefill"],
  ["kvCapacityTokens", "KV capacity in tokens"]
]

/** What the gateway's configuration takes under `hardware`. */
export const hardwareYaml = ({ fitted: { constants }, measured, nearest, url }: Calibrated): string => {
  const reported: Readonly<Record<string, unknown>> = measured.samples
  const lines = settings.map(([name, what]) => {
    const assumed = name.endsWith("S") || reported[name] !== undefined ? "" : ", not measured: the nearest preset's"
    const value = name.endsWith("S") ? rounded(constants[name]) : constants[name]
    return `  ${name}: ${value} # ${what}${assumed}`
  })
  return [
    `# ${measured.model} on ${url}, measured by warmroute calibrate`,
    "hardware:",
    ...(nearest === undefined ? [] : [`  preset: ${nearest.preset} # the nearest; every line below replaces its own`]),
    ...lines,
    ""
  ].join("\n")
}

interface Row {
  readonly point: string
  readonly measuredS: number
  readonly predictedS: number
}

const rowsOf = ({ fitted, samples }: Calibrated): {
  readonly prefill: ReadonlyArray<Row>
  readonly decode: ReadonlyArray<Row>
} => {
  const { decode, prefill } = compareSamples(samples, fitted)
  return {
    prefill: samples.prefill.map(({ promptTokens, ttftS }, index) => ({
      point: `${promptTokens} tokens`,
      measuredS: ttftS,
      predictedS: prefill[index]?.predictedS ?? 0
    })),
    decode: samples.decode.map(({ contextTokens, requests, stepS }, index) => ({
      point: `${requests} requests, ${contextTokens} tokens`,
      measuredS: stepS,
      predictedS: decode[index]?.predictedS ?? 0
    }))
  }
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`

/** Of a logarithmic error, which is a factor. */
const percentOff = (error: number): string => percent(Math.exp(error) - 1)

const milliseconds = (timeS: number): string => `${(timeS * 1000).toFixed(2)} ms`

const tableOf = (title: string, rows: ReadonlyArray<Row>): ReadonlyArray<string> => [
  `${title.padEnd(30)} ${"measured".padStart(12)} ${"predicted".padStart(12)} ${"off".padStart(8)}`,
  ...rows.map(({ measuredS, point, predictedS }) =>
    `  ${point.padEnd(28)} ${milliseconds(measuredS).padStart(12)} ${milliseconds(predictedS).padStart(12)} ${
      percent(predictedS / measuredS - 1).padStart(8)
    }`
  ),
  `  R² ${rSquared(rows).toFixed(4)}, typically ${percentOff(logError(rows))} off`,
  ""
]

/** Each point as measured and as the constants have it, and how the nearest preset would do. */
export const calibrationTable = (calibrated: Calibrated): string => {
  const { fitted, measured, nearest, url } = calibrated
  const { decode, prefill } = rowsOf(calibrated)
  return [
    `${measured.model} on ${url}, measured in ${measured.tookS.toFixed(0)} s`,
    "",
    ...tableOf("TTFT of an uncached prompt", prefill),
    ...tableOf("decode step", decode),
    `TTFT beyond the engine (network, parsing): ${milliseconds(fitted.pathS)}`,
    ...(nearest === undefined ? [] : [
      `The nearest preset, ${nearest.preset}, would be ${percentOff(nearest.prefillError)} off in TTFT and ` +
      `${percentOff(nearest.decodeError)} off in the decode step.`
    ]),
    ...measured.notes.map((note) => `Note: ${note}`),
    ""
  ].join("\n")
}

/** Everything for a program: the constants, all samples with their predictions, the errors. */
export const calibrationJson = (calibrated: Calibrated): string => {
  const { fitted, measured, nearest, samples, url } = calibrated
  const { decode, prefill } = compareSamples(samples, fitted)
  return JSON.stringify(
    {
      pod: url,
      model: measured.model,
      hardware: fitted.constants,
      assumed: ["batchedTokensMax", "kvCapacityTokens"].filter((name) => !(name in measured.samples)),
      pathS: fitted.pathS,
      prefill: samples.prefill.map(({ promptTokens, ttftS }, index) => ({
        promptTokens,
        ttftS,
        predictedS: prefill[index]?.predictedS
      })),
      decode: samples.decode.map(({ contextTokens, requests, stepS }, index) => ({
        requests,
        contextTokens,
        stepS,
        predictedS: decode[index]?.predictedS
      })),
      fit: {
        prefill: { rSquared: rSquared(prefill), error: logError(prefill) },
        decode: { rSquared: rSquared(decode), error: logError(decode) }
      },
      nearest: nearest ?? null,
      notes: measured.notes,
      tookS: measured.tookS
    },
    (_, value: unknown) => typeof value === "number" ? Number(value.toPrecision(6)) : value
  )
}
