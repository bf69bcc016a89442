import type { DecodeSample } from "../../core/calibration.ts"
import { completionBody, streamCompletion } from "./completionStream.ts"

/** One batch size and context length to time decode steps at. */
export interface DecodePoint {
  readonly requests: number
  readonly promptTokens: number
}

/** Why a point has no sample: not all streams decoded at once, or not for long enough. */
export type NoSample = "not at once" | "too short"

interface WindowOptions {
  readonly url: string
  readonly model: string
  readonly point: DecodePoint
  /** Output tokens of each stream, if nobody stopped it. */
  readonly outputTokens: number
  /** How long steps should be timed; where they are slow, up to twice as long. */
  readonly windowMs: number
  /** Give up when not all streams decode by then. */
  readonly startWithinMs: number
  readonly signal: AbortSignal
}

interface Stream {
  tokens: number
  atMs: number
  startTokens: number
  startAtMs: number
}

/** Steady from this many tokens of the last stream on: the first steps still share with prefill. */
const STEADY_FROM_TOKENS = 3
/** The window may end early after so many steps and this share of its time. */
const WINDOW_STEPS = 40
const WINDOW_LEAST_SHARE = 0.25
/** Fewer steps than these say nothing. */
const STEPS_LEAST = 6

/**
 * Runs equal streams at once and times the steps while all of them decode, then ends them. Rejects as `streamCompletion` does.
 */
export const timeDecodeSteps = async (options: WindowOptions): Promise<DecodeSample | NoSample> => {
  const { model, outputTokens, point, url, windowMs } = options
  const bodies = Array.from({ length: point.requests }, () => completionBody(model, point.promptTokens, outputTokens))
  const streams = bodies.map((): Stream => ({ tokens: 0, atMs: 0, startTokens: 0, startAtMs: 0 }))
  const stop = new AbortController()
  const ended = Promise.withResolvers<void>()
  const giveUp = setTimeout(ended.resolve, options.startWithinMs)
  let steadyAtMs: number | undefined
  const look = (nowMs: number): void => {
    if (steadyAtMs === undefined) {
      if (streams.some(({ tokens }) => tokens < STEADY_FROM_TOKENS)) return
      clearTimeout(giveUp)
      steadyAtMs = nowMs
      for (const stream of streams) [stream.startTokens, stream.startAtMs] = [stream.tokens, stream.atMs]
      return
    }
    const forMs = nowMs - steadyAtMs
    const steps = Math.min(...streams.map(({ startTokens, tokens }) => tokens - startTokens))
    const enough = steps >= WINDOW_STEPS && forMs >= windowMs * WINDOW_LEAST_SHARE
    if (enough || forMs >= windowMs * 2) ended.resolve()
  }
  const signal = AbortSignal.any([options.signal, stop.signal])
  const running = bodies.map(async (body, index) => {
    const stream = streams[index]
    if (stream === undefined) return
    await streamCompletion({
      url,
      body,
      signal,
      onTokens: (tokens, nowMs) => {
        if (stop.signal.aborted) return
        stream.tokens = tokens
        stream.atMs = nowMs
        look(nowMs)
      }
    })
    ended.resolve()
  })
  try {
    await Promise.race([ended.promise, Promise.all(running)])
  } finally {
    clearTimeout(giveUp)
    stop.abort()
    await Promise.allSettled(running)
  }
  return steadyAtMs === undefined ? "not at once" : sampleOf(point, streams)
}

/** The median stream's time a step; the context is what all streams had in the middle of the window. */
const sampleOf = (point: DecodePoint, streams: ReadonlyArray<Stream>): DecodeSample | NoSample => {
  const steps = streams.map(({ startTokens, tokens }) => tokens - startTokens)
  if (Math.min(...steps) < STEPS_LEAST) return "too short"
  const timesMs = streams.map(({ atMs, startAtMs }, index) => (atMs - startAtMs) / (steps[index] ?? 1)).sort((a, b) =>
    a - b
  )
  const contextTokens = streams.reduce((sum, { startTokens, tokens }) => sum + (startTokens + tokens) / 2, 0) +
    point.requests * point.promptTokens
  return {
    requests: point.requests,
    contextTokens: Math.round(contextTokens),
    stepS: (timesMs[Math.floor(timesMs.length / 2)] ?? 0) / 1000
  }
}
