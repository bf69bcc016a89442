import { completionBody, streamCompletion } from "./completionStream.ts"

interface SplitOptions {
  readonly url: string
  readonly model: string
  /** Of the prompt whose steps are counted. */
  readonly promptTokens: number
  /** Of the short prompt whose answer keeps time. */
  readonly companionTokens: number
  readonly outputTokens: number
  readonly signal: AbortSignal
}

/** Tokens of the companion before the long prompt comes, to know its usual step. */
const USUAL_STEPS = 16
/** A step that prefills takes so many usual ones at least, and this share of the longest of them. */
const LONG_STEP = 2.5
const LONG_SHARE = 0.3

/**
 * In how many engine steps a prompt is prefilled: a stream that decodes beside it gets one token a step, and those
 * steps take much longer than its usual ones. vLLM's own count of steps leaves out those that only prefill.
 * Rejects as `streamCompletion` does.
 */
export const countPrefillSteps = async (options: SplitOptions): Promise<number> => {
  const { companionTokens, model, outputTokens, promptTokens, signal, url } = options
  const stop = new AbortController()
  const arrivedMs: Array<number> = []
  const settled = Promise.withResolvers<void>()
  let next = Promise.withResolvers<void>()
  const body = completionBody(model, promptTokens, 1)
  const companion = streamCompletion({
    url,
    body: completionBody(model, companionTokens, outputTokens),
    signal: AbortSignal.any([signal, stop.signal]),
    onTokens: (_, nowMs) => {
      arrivedMs.push(nowMs)
      if (arrivedMs.length === USUAL_STEPS) settled.resolve()
      next.resolve()
      next = Promise.withResolvers<void>()
    }
  })
  try {
    await Promise.race([settled.promise, companion])
    const usualMs = medianGap(arrivedMs)
    const before = arrivedMs.length
    const long = streamCompletion({ url, body, signal, onTokens: () => undefined })
    await long
    // The companion's token of the last of these steps may come a moment after the prompt's.
    await Promise.race([next.promise, companion])
    const gapsMs = gapsOf(arrivedMs.slice(before - 1))
    const leastMs = Math.max(usualMs * LONG_STEP, Math.max(0, ...gapsMs) * LONG_SHARE)
    return gapsMs.filter((gapMs) => gapMs > leastMs).length
  } finally {
    stop.abort()
    await Promise.allSettled([companion])
  }
}

const gapsOf = (timesMs: ReadonlyArray<number>): ReadonlyArray<number> =>
  timesMs.slice(1).map((timeMs, index) => timeMs - (timesMs[index] ?? 0))

const medianGap = (timesMs: ReadonlyArray<number>): number => {
  const gaps = gapsOf(timesMs).toSorted((a, b) => a - b)
  return gaps[gaps.length >> 1] ?? 0
}
