import type { DecodePoint } from "./decodeWindow.ts"

/** What bounds the requests that a pod can take. */
export interface PodLimits {
  /** Longest prompt and answer together. */
  readonly maxModelLen: number
  /** undefined when the pod does not say. */
  readonly kvCapacityTokens: number | undefined
}

/** Longer prompts add nothing to the fit but time. */
const PROMPT_TOKENS_MOST = 32_768
const SHORT_PROMPT_TOKENS = 256
/** So many lengths are wanted even of a short context. */
const LENGTH_FACTOR = 16
const PROMPT_TOKENS_LEAST = 16
/** Share of the KV capacity that one point may take, so that nothing is preempted. */
const KV_SHARE_MOST = 0.8
/** Output tokens left room for beside each prompt. */
export const OUTPUT_TOKENS = 1024

const promptTokensMost = ({ kvCapacityTokens, maxModelLen }: PodLimits): number =>
  Math.floor(Math.min(PROMPT_TOKENS_MOST, maxModelLen - 8, (kvCapacityTokens ?? Infinity) * KV_SHARE_MOST))

const shortPromptTokens = (limits: PodLimits): number =>
  Math.max(PROMPT_TOKENS_LEAST, Math.min(SHORT_PROMPT_TOKENS, Math.floor(promptTokensMost(limits) / LENGTH_FACTOR)))

/** Prompt lengths to time prefill at, each twice the one before, ending with the longest that the pod takes. */
export const prefillLengths = (limits: PodLimits): ReadonlyArray<number> => {
  const most = promptTokensMost(limits)
  const lengths: Array<number> = []
  for (let length = shortPromptTokens(limits); length * 1.5 <= most; length *= 2) lengths.push(length)
  return most < PROMPT_TOKENS_LEAST ? [] : [...lengths, most]
}

/** Output tokens that a request of this point may ask for. */
export const outputTokensFor = ({ maxModelLen }: PodLimits, promptTokens: number): number =>
  Math.max(1, Math.min(OUTPUT_TOKENS, maxModelLen - promptTokens))

/** Longest prompt beside which a stream can decode for a while. */
const decodePromptMost = (limits: PodLimits): number => {
  const most = Math.min(promptTokensMost(limits), limits.maxModelLen - Math.min(OUTPUT_TOKENS, limits.maxModelLen / 4))
  return Math.floor(most / PROMPT_TOKENS_LEAST) * PROMPT_TOKENS_LEAST
}

const BATCHES = [1, 2, 4, 8, 16, 32, 64]
/** Many tokens of context in all, in few requests and in many, most telling first. */
const CONTEXTS: ReadonlyArray<DecodePoint> = [
  { requests: 8, promptTokens: 8192 },
  { requests: 8, promptTokens: 2048 },
  { requests: 16, promptTokens: 2048 },
  { requests: 4, promptTokens: 8192 },
  { requests: 2, promptTokens: 8192 },
  { requests: 1, promptTokens: 16_384 },
  { requests: 32, promptTokens: 1024 }
]
const LARGEST_BATCH = 128
const CONTEXT_POINTS_MOST = 5
/** Too short a context for these says nothing of it. */
const CONTEXT_FACTOR = 4

/** Batch sizes with short prompts, then long contexts, then the largest batch: in order of worth. */
export const decodePoints = (limits: PodLimits): ReadonlyArray<DecodePoint> => {
  const promptTokens = shortPromptTokens(limits)
  const most = decodePromptMost(limits)
  const fits = ({ promptTokens, requests }: DecodePoint): boolean =>
    promptTokens <= most &&
    requests * (promptTokens + outputTokensFor(limits, promptTokens)) <=
      (limits.kvCapacityTokens ?? Infinity) * KV_SHARE_MOST
  const longest = CONTEXTS.map(({ promptTokens, requests }) => ({
    requests,
    promptTokens: Math.min(promptTokens, most)
  })).filter((point) => point.promptTokens >= promptTokens * CONTEXT_FACTOR && fits(point))
  const different = longest.filter((point, index) =>
    longest.findIndex((other) => other.requests === point.requests && other.promptTokens === point.promptTokens) ===
      index
  )
  return [
    ...BATCHES.map((requests) => ({ requests, promptTokens })),
    ...different.slice(0, CONTEXT_POINTS_MOST),
    { requests: LARGEST_BATCH, promptTokens }
  ].filter(fits)
}

/** A number of tokens this close to a power of two is meant to be one. */
const POWER_TOLERANCE = 0.15

/**
 * The engine's `max_num_batched_tokens`, when a prompt was prefilled in so many steps, the last of them perhaps not
 * counted; undefined when it was not split.
 */
export const batchedTokensFrom = (promptTokens: number, steps: number): number | undefined => {
  if (steps < 2) return undefined
  const perStep = Math.ceil(promptTokens / steps)
  const power = 2 ** Math.round(Math.log2(perStep))
  return Math.abs(perStep / power - 1) <= POWER_TOLERANCE ? power : perStep
}
