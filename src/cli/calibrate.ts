import { Console, Duration, Effect, Either, Schema } from "effect"
import { DurationText } from "../../config/DurationText.ts"
import { type CalibrationSamples, fitEngine, nearestPreset } from "../core/calibration.ts"
import { hardwarePresets } from "../core/hardwarePresets.ts"
import { type PodAddress, podAddressFromUrl, podUrl } from "../core/Pod.ts"
import { CalibrationProblem } from "../vllm/calibrate/CalibrationProblem.ts"
import { measurePod, type PodMeasurements } from "../vllm/calibrate/measurePod.ts"
import { type Calibrated, calibrationJson, calibrationTable, hardwareYaml } from "./calibrationText.ts"
import { CommandFailure } from "./failure.ts"
import { checkWritable, writeNamed } from "./namedFile.ts"
import { progressBar } from "./progressBar.ts"
import { stopSignals } from "./stopSignals.ts"

/** Flags of `warmroute calibrate`. */
export interface CalibrateChoice {
  readonly pod: string
  readonly model: string | undefined
  readonly out: string | undefined
  readonly within: string
  readonly force: boolean
  readonly json: boolean
}

const WITHIN_LEAST_S = 5
const WITHIN_MOST_S = 3600

/** Of a pod that neither says nor shows it: vLLM's default on large GPUs. */
const BATCHED_TOKENS_MAX = 8192

/** Measures the pod; the constants go to `--out` or stdout, how good they are to stderr. */
export const calibrate = (choice: CalibrateChoice): Effect.Effect<void, CommandFailure> =>
  Effect.gen(function*() {
    const address = podAddressFromUrl(choice.pod)
    if (typeof address === "string") return yield* fail(`--pod: ${address}`)
    const withinS = yield* withinSeconds(choice.within)
    if (choice.out !== undefined) yield* checkWritable("calibrate", choice.out)
    const { first: stopSignal } = yield* stopSignals(2)
    const measurements = yield* Effect.raceFirst(
      measure(choice, address, withinS),
      Effect.flatMap(stopSignal, (signal) => fail(`stopped by ${signal}; nothing was written`))
    )
    const calibrated = yield* constantsOf(podUrl(address), measurements)
    yield* Console.error(calibrationTable(calibrated))
    if (choice.out !== undefined) yield* writeNamed("calibrate", choice.out, hardwareYaml(calibrated))
    if (choice.json) yield* Console.log(calibrationJson(calibrated))
    else if (choice.out === undefined) yield* Console.log(hardwareYaml(calibrated).trimEnd())
    else yield* Console.log(`Wrote ${choice.out}: put it into the gateway's YAML, or start with --config ${choice.out}`)
  })

const fail = (reason: string): Effect.Effect<never, CommandFailure> =>
  Effect.fail(new CommandFailure({ message: `warmroute calibrate: ${reason}` }))

const withinSeconds = (text: string): Effect.Effect<number, CommandFailure> => {
  const duration = Schema.decodeUnknownEither(DurationText)(text)
  if (Either.isLeft(duration)) return fail(`--within is "${text}" but must be a duration such as 100s or 2min`)
  const seconds = Duration.toSeconds(duration.right)
  return seconds >= WITHIN_LEAST_S && seconds <= WITHIN_MOST_S
    ? Effect.succeed(seconds)
    : fail(`--within is "${text}" but must be from ${WITHIN_LEAST_S}s to ${WITHIN_MOST_S / 60}min`)
}

/** Interrupting it ends every request on the pod. */
const measure = (
  choice: CalibrateChoice,
  address: PodAddress,
  withinS: number
): Effect.Effect<PodMeasurements, CommandFailure> => {
  const bar = progressBar(`calibrating ${podUrl(address)}`)
  return Effect.tryPromise({
    try: (signal) =>
      measurePod({
        address,
        model: choice.model,
        withinS,
        force: choice.force,
        signal,
        onProgress: ({ share, what }) => bar.show(share, what)
      }),
    catch: (cause) =>
      new CommandFailure({
        message: `warmroute calibrate: ${cause instanceof CalibrationProblem ? cause.why : String(cause)}`
      })
  }).pipe(Effect.ensuring(Effect.sync(bar.end)))
}

/** What the pod did not tell is taken from the nearest preset. */
const constantsOf = (url: string, measured: PodMeasurements): Effect.Effect<Calibrated, CommandFailure> => {
  const likest = hardwarePresets[nearestPreset(measured.samples, 0)?.preset ?? ""]
  const samples: CalibrationSamples = {
    prefill: measured.samples.prefill,
    decode: measured.samples.decode,
    batchedTokensMax: measured.samples.batchedTokensMax ?? likest?.batchedTokensMax ?? BATCHED_TOKENS_MAX,
    kvCapacityTokens: measured.samples.kvCapacityTokens ?? likest?.kvCapacityTokens ?? 0
  }
  const fitted = fitEngine(samples)
  return typeof fitted === "string"
    ? fail(`the measurements of ${url} make no sense: ${fitted}`)
    : Effect.succeed({ url, measured, samples, fitted, nearest: nearestPreset(samples, fitted.pathS) })
}
