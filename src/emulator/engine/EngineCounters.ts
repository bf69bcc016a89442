import type { EngineRequest } from "./EngineRequest.ts"
import { Histogram } from "./Histogram.ts"

const requestSecondsBounds = "0.3 0.5 0.8 1 1.5 2 2.5 5 10 15 20 30 40 50 60 120 240 480 960 1920 7680"
  .split(" ").map(Number)
const tokenSecondsBounds = "0.01 0.025 0.05 0.075 0.1 0.15 0.2 0.3 0.4 0.5 0.75 1 2.5 5 7.5 10 20 40 80"
  .split(" ").map(Number)
const firstTokenSecondsBounds =
  "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10 20 40 80 160 640 2560"
    .split(" ").map(Number)

/** 1, 2, 5, 10, 20, 50, … up to the longest context, as vLLM cuts its token histograms. */
export const tokenCountBounds = (max: number): ReadonlyArray<number> => {
  const bounds: Array<number> = []
  for (let power = 1;; power *= 10) {
    for (const mantissa of [1, 2, 5]) {
      if (mantissa * power > max) return bounds
      bounds.push(mantissa * power)
    }
  }
}

/** What one engine did since its start; all that its metrics page needs beside the present state. */
export class EngineCounters {
  steps = 0
  promptTokens = 0
  promptTokensCached = 0
  generationTokens = 0
  prefixQueryTokens = 0
  prefixHitTokens = 0
  preemptions = 0
  finishedRequests = 0
  abortedRequests = 0

  readonly firstTokenS = new Histogram(firstTokenSecondsBounds)
  readonly interTokenS = new Histogram(tokenSecondsBounds)
  /** Mean over a request's output tokens but the first. */
  readonly outputTokenS = new Histogram(tokenSecondsBounds)
  readonly endToEndS = new Histogram(requestSecondsBounds)
  readonly queueS = new Histogram(requestSecondsBounds)
  readonly prefillS = new Histogram(requestSecondsBounds)
  readonly decodeS = new Histogram(requestSecondsBounds)
  readonly inferenceS = new Histogram(requestSecondsBounds)
  readonly preemptionsByRequest = new Histogram([1, 2, 3, 4, 5, 10, 20])
  readonly stepTokens = new Histogram([1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384])
  readonly requestPromptTokens: Histogram
  readonly requestGenerationTokens: Histogram
  readonly requestComputedTokens: Histogram

  constructor(maxModelLen: number) {
    const bounds = tokenCountBounds(maxModelLen)
    this.requestPromptTokens = new Histogram(bounds)
    this.requestGenerationTokens = new Histogram(bounds)
    this.requestComputedTokens = new Histogram(bounds)
  }

  requestFinished(request: EngineRequest<unknown>, endS: number): void {
    // A request without output tokens, such as an embedding, ends with its prefill.
    const firstTokenS = request.firstTokenS < 0 ? endS : request.firstTokenS
    this.finishedRequests++
    this.endToEndS.observe(endS - request.arrivedS)
    this.queueS.observe(request.scheduledS - request.arrivedS)
    this.prefillS.observe(firstTokenS - request.scheduledS)
    this.decodeS.observe(endS - firstTokenS)
    this.inferenceS.observe(endS - request.scheduledS)
    if (request.outputTokens > 1) this.outputTokenS.observe((endS - firstTokenS) / (request.outputTokens - 1))
    this.preemptionsByRequest.observe(request.preemptions)
    this.requestPromptTokens.observe(request.promptTokens)
    this.requestGenerationTokens.observe(request.outputTokens)
    this.requestComputedTokens.observe(request.promptTokens - request.cachedTokens)
  }
}
