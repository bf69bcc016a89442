import type { CalibrationSamples, DecodeSample, PrefillSample } from "../../core/calibration.ts"
import { networkWords } from "../../core/networkWords.ts"
import { type PodAddress, podUrl } from "../../core/Pod.ts"
import { CalibrationProblem, RequestRefused } from "./CalibrationProblem.ts"
import { completionBody, streamCompletion } from "./completionStream.ts"
import { type DecodePoint, type NoSample, timeDecodeSteps } from "./decodeWindow.ts"
import { type OpenPod, openPod } from "./openPod.ts"
import { OtherWork } from "./OtherWork.ts"
import { batchedTokensFrom, decodePoints, outputTokensFor, prefillLengths } from "./points.ts"
import { countPrefillSteps } from "./splitSteps.ts"

export interface MeasureOptions {
  readonly address: PodAddress
  /** Default: the first model that is no LoRA adapter. */
  readonly model: string | undefined
  /** All of it, requests under way included, ends by then. */
  readonly withinS: number
  /** Measure a pod that has other work, too. */
  readonly force: boolean
  /** Ends every request on the pod. */
  readonly signal: AbortSignal
  readonly onProgress: (progress: MeasureProgress) => void
}

export interface MeasureProgress {
  /** In [0, 1]. */
  readonly share: number
  readonly what: string
}

export interface PodMeasurements {
  readonly model: string
  /** What the pod did not tell is undefined here. */
  readonly samples:
    & Pick<CalibrationSamples, "prefill" | "decode">
    & Partial<Pick<CalibrationSamples, "batchedTokensMax" | "kvCapacityTokens">>
  /** What a reader of the numbers has to know. */
  readonly notes: ReadonlyArray<string>
  readonly tookS: number
}

/** Each point is measured so often, and the median counts. */
const ROUNDS = 3
/** Share of the time that prefill may take, and that one point may. */
const PREFILL_SHARE = 0.4
const POINT_SHARE = 0.12
/** A decode window should take so long, and less when there is little time; slow steps may take twice of it. */
const WINDOW_S = 1
const WINDOW_SHARE = 0.03
/** Waiting for all streams of a point: as long as their prefill should take, times this, and a while more. */
const START_PATIENCE = 3
const START_LEAST_MS = 3000

/**
 * Measures how fast a pod is: TTFT by prompt length, decode step by batch size and context. Rejects with
 * CalibrationProblem, or with the signal's reason.
 */
export const measurePod = async (options: MeasureOptions): Promise<PodMeasurements> => {
  const pod = await openPod(options)
  const run = new Measuring(options, pod)
  try {
    await run.all()
  } catch (error) {
    if (options.signal.aborted) throw options.signal.reason
    if (!run.outOfTime) throw problemOf(options, error)
  }
  return await run.result()
}

const problemOf = ({ address }: MeasureOptions, error: unknown): CalibrationProblem => {
  if (error instanceof CalibrationProblem) return error
  if (error instanceof RequestRefused) return new CalibrationProblem({ why: error.message })
  const why = networkWords(error)
  return new CalibrationProblem({ why: `the pod ${podUrl(address)} broke off while it was measured: ${why}` })
}

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

class Measuring {
  private readonly options: MeasureOptions
  private readonly pod: OpenPod
  private readonly url: string
  private readonly deadline: AbortSignal
  private readonly signal: AbortSignal
  private readonly startedMs = performance.now()
  private readonly lengths: ReadonlyArray<number>
  private readonly points: ReadonlyArray<DecodePoint>
  private readonly otherWork: OtherWork
  private readonly ttftS = new Map<number, Array<number>>()
  private readonly steps = new Map<DecodePoint, Array<DecodeSample>>()
  private readonly notes: Array<string> = []
  private done = 0
  private sentTokens = 0
  private batchMost = Infinity
  private batchedTokensMax: number | undefined

  constructor(options: MeasureOptions, pod: OpenPod) {
    this.options = options
    this.pod = pod
    this.url = podUrl(options.address)
    this.deadline = AbortSignal.timeout(options.withinS * 1000)
    this.signal = AbortSignal.any([options.signal, this.deadline])
    this.lengths = prefillLengths(pod.limits)
    this.points = decodePoints(pod.limits)
    this.otherWork = new OtherWork(options.address, pod.metrics)
  }

  get outOfTime(): boolean {
    return this.deadline.aborted
  }

  async all(): Promise<void> {
    if (this.lengths.length < 3) {
      const { maxModelLen } = this.pod.limits
      throw new CalibrationProblem({
        why: `the pod takes prompts of ${maxModelLen} tokens at most: too short to measure`
      })
    }
    const [shortest = 0] = this.lengths
    this.report("warm-up", 0)
    for (let round = 0; round < 2; round++) await this.timeFirstToken(shortest)
    for (let round = 1; round <= ROUNDS; round++) await this.prefillRound(round)
    await this.findBatchedTokens()
    for (let round = 1; round <= ROUNDS; round++) await this.decodeRound(round)
  }

  async result(): Promise<PodMeasurements> {
    const others = await this.otherWork.notes(this.sentTokens, this.batchMost === Infinity)
    if (!this.outOfTime) this.notes.push(...others)
    const prefill = [...this.ttftS].map(([promptTokens, times]): PrefillSample => ({
      promptTokens,
      ttftS: median(times)
    }))
    const decode = [...this.steps.values()].map((samples) => {
      const middle = median(samples.map(({ stepS }) => stepS))
      return samples.find(({ stepS }) => stepS === middle) ?? { requests: 0, contextTokens: 0, stepS: 0 }
    })
    const batches = new Set(decode.map(({ requests }) => requests)).size
    if (prefill.length < 3 || batches < 3) throw this.tooLittle(prefill.length, batches)
    if (new Set(decode.map(({ contextTokens, requests }) => Math.round(contextTokens / requests / 256))).size < 2) {
      this.notes.push("Only short contexts were measured: contextTokenS is a part of decodeRequestS. More time helps.")
    }
    const { kvCapacityTokens } = this.pod.limits
    const { batchedTokensMax } = this
    return {
      model: this.pod.model,
      samples: {
        prefill,
        decode,
        ...(batchedTokensMax === undefined ? {} : { batchedTokensMax }),
        ...(kvCapacityTokens === undefined ? {} : { kvCapacityTokens })
      },
      notes: this.notes,
      tookS: (performance.now() - this.startedMs) / 1000
    }
  }

  private tooLittle(lengths: number, batches: number): CalibrationProblem {
    const measured = `only ${lengths} prompt lengths and ${batches} batch sizes could be measured; 3 of each are needed`
    const { withinS } = this.options
    return new CalibrationProblem({
      why: this.notes.length === 0
        ? `within ${withinS} s ${measured}. Give it more time, as in --within ${Math.ceil(withinS * 2)}s`
        : [`${measured}.`, ...this.notes].join(" ")
    })
  }

  private get windowS(): number {
    return Math.min(WINDOW_S, this.options.withinS * WINDOW_SHARE)
  }

  private elapsedS(): number {
    return (performance.now() - this.startedMs) / 1000
  }

  /** Whether something of this length still fits `share` of all the time. */
  private affords(seconds: number, share: number): boolean {
    const { withinS } = this.options
    return seconds <= withinS * POINT_SHARE && this.elapsedS() + seconds < withinS * share
  }

  private report(what: string, points: number): void {
    this.done += points
    const total = ROUNDS * (this.lengths.length + this.points.length)
    this.options.onProgress({ share: Math.min(1, this.done / total), what })
  }

  private async prefillRound(round: number): Promise<void> {
    for (const promptTokens of this.lengths) {
      const times = this.ttftS.get(promptTokens) ?? []
      const estimateS = this.prefillEstimateS(promptTokens)
      this.report(`prefill of ${promptTokens} tokens, round ${round} of ${ROUNDS}`, 1)
      if (!this.affords(estimateS, PREFILL_SHARE) || times.length < round - 1) continue
      times.push(await this.timeFirstToken(promptTokens))
      this.ttftS.set(promptTokens, times)
    }
  }

  /** How the longest prompt is split says how many tokens a step takes; two counts have to agree. */
  private async findBatchedTokens(): Promise<void> {
    const [companionTokens = 0] = this.lengths
    const promptTokens = Math.max(0, ...this.ttftS.keys())
    const found: Array<number | undefined> = []
    for (let count = 0; count < 2; count++) {
      if (!this.affords(this.prefillEstimateS(promptTokens), 2 * PREFILL_SHARE)) return
      const steps = await countPrefillSteps({
        url: this.url,
        model: this.pod.model,
        promptTokens,
        companionTokens,
        outputTokens: outputTokensFor(this.pod.limits, companionTokens),
        signal: this.signal
      })
      this.sentTokens += promptTokens + companionTokens
      found.push(batchedTokensFrom(promptTokens, steps))
    }
    if (found[0] === found[1]) this.batchedTokensMax = found[0]
    await this.otherWork.untilIdle(this.options.force, this.signal)
  }

  /** From the next longer prompt that was measured, or from the longest. */
  private prefillEstimateS(promptTokens: number): number {
    let longest = 0
    for (const [length, times] of this.ttftS) {
      if (length >= promptTokens) return median(times)
      longest = length
    }
    const known = this.ttftS.get(longest)
    // Attention grows with the square, the rest does not.
    return known === undefined ? 0 : median(known) * (promptTokens / longest) ** 1.5
  }

  private async timeFirstToken(promptTokens: number): Promise<number> {
    const body = completionBody(this.pod.model, promptTokens, 1)
    let firstMs: number | undefined
    const startedMs = performance.now()
    await streamCompletion({
      url: this.url,
      body,
      signal: this.signal,
      onTokens: (_, nowMs) => {
        firstMs ??= nowMs
      }
    })
    this.sentTokens += promptTokens
    if (firstMs === undefined) throw new CalibrationProblem({ why: "the pod ended a stream without a token" })
    return (firstMs - startedMs) / 1000
  }

  private async decodeRound(round: number): Promise<void> {
    for (const point of this.points) {
      const { promptTokens, requests } = point
      const samples = this.steps.get(point) ?? []
      const prefillS = requests * this.prefillEstimateS(promptTokens)
      this.report(`decode of ${requests} x ${promptTokens} tokens, round ${round} of ${ROUNDS}`, 1)
      if (requests > this.batchMost || samples.length < round - 1 || !this.affords(prefillS + this.windowS, 1)) continue
      const sample = await this.timeDecode(point, prefillS)
      if (sample === "not at once") {
        this.batchMost = requests - 1
        this.notes.push(`The pod did not decode ${requests} requests at once; smaller batches were measured.`)
        continue
      }
      this.sentTokens += requests * promptTokens
      if (sample !== "too short") this.steps.set(point, [...samples, sample])
    }
  }

  private async timeDecode(point: DecodePoint, prefillS: number): Promise<DecodeSample | NoSample> {
    try {
      return await timeDecodeSteps({
        url: this.url,
        model: this.pod.model,
        point,
        outputTokens: outputTokensFor(this.pod.limits, point.promptTokens),
        windowMs: this.windowS * 1000,
        startWithinMs: prefillS * START_PATIENCE * 1000 + START_LEAST_MS,
        signal: this.signal
      })
    } catch (error) {
      // A queue that is full is a limit of the batch, not a fault.
      if (error instanceof RequestRefused && (error.status === 429 || error.status === 503)) return "not at once"
      throw error
    } finally {
      await this.otherWork.untilIdle(this.options.force, this.signal)
    }
  }
}
