/** One ended request, as its client saw it. */
export interface Measured {
  readonly stage: number
  readonly arrivedS: number
  readonly ttftS: number
  /** Mean time between output tokens; NaN when there was one. */
  readonly tpotS: number
  readonly endS: number
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
}

/** What a run comes down to. Times in seconds, means over requests. */
export interface RunSummary {
  readonly requests: number
  /** Requests that no pod took. */
  readonly refused: number
  readonly ttftMean: number
  readonly ttftP50: number
  readonly ttftP99: number
  readonly tpotMean: number
  readonly e2eMean: number
  /** From a stage's first arrival to its last token, warm-up left out; mean over the stages. */
  readonly outputTokensPerSecond: number
  /** Prompt tokens found in the pods' caches, of all. */
  readonly hitRatio: number
  /** Requests inside the objective, of all measured ones. */
  readonly sloShare: number
}

/** A request is inside the objective when both hold; a part that is infinite always does. */
export interface Slo {
  readonly ttftS: number
  /** Mean over the request's own tokens. */
  readonly tpotS: number
}

/** Source: DESIGN 5. */
export const defaultSlo: Slo = { ttftS: 2, tpotS: 0.05 }

interface StageSpan {
  firstS: number
  lastS: number
  outputTokens: number
}

/** Collects the measured requests of a run. */
export class Measurements {
  refused = 0
  private readonly slo: Slo
  private readonly ttftS: Array<number> = []
  private readonly stages = new Map<number, StageSpan>()
  private tpotSum = 0
  private tpotCount = 0
  private e2eSum = 0
  private promptTokens = 0
  private cachedTokens = 0
  private inside = 0

  constructor(slo: Slo = defaultSlo) {
    this.slo = slo
  }

  add(request: Measured): void {
    this.ttftS.push(request.ttftS)
    const slow = request.tpotS > this.slo.tpotS
    if (!Number.isNaN(request.tpotS)) {
      this.tpotSum += request.tpotS
      this.tpotCount++
    }
    if (request.ttftS <= this.slo.ttftS && !slow) this.inside++
    this.e2eSum += request.endS - request.arrivedS
    this.promptTokens += request.promptTokens
    this.cachedTokens += request.cachedTokens
    const span = this.stages.get(request.stage)
    if (span === undefined) {
      this.stages.set(request.stage, {
        firstS: request.arrivedS,
        lastS: request.endS,
        outputTokens: request.outputTokens
      })
    } else {
      span.firstS = Math.min(span.firstS, request.arrivedS)
      span.lastS = Math.max(span.lastS, request.endS)
      span.outputTokens += request.outputTokens
    }
  }

  summary(): RunSummary {
    const sorted = Float64Array.from(this.ttftS).sort()
    const count = sorted.length
    const rates = [...this.stages.values()].map((span) => span.outputTokens / (span.lastS - span.firstS))
    return {
      requests: count,
      refused: this.refused,
      ttftMean: mean(sorted),
      ttftP50: quantile(sorted, 0.5),
      ttftP99: quantile(sorted, 0.99),
      tpotMean: ratio(this.tpotSum, this.tpotCount),
      e2eMean: ratio(this.e2eSum, count),
      outputTokensPerSecond: mean(rates),
      hitRatio: ratio(this.cachedTokens, this.promptTokens),
      sloShare: ratio(this.inside, count + this.refused)
    }
  }
}

const ratio = (part: number, whole: number): number => whole === 0 ? 0 : part / whole

const mean = (values: ArrayLike<number>): number => {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  return ratio(sum, values.length)
}

/** Nearest rank of sorted values. */
const quantile = (sorted: Float64Array, share: number): number =>
  sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
