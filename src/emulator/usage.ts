import type { Generation } from "./Generation.ts"
import type { PodState } from "./PodState.ts"

/** Token counts of one request, its choices added up. */
export interface TokenUsage {
  readonly promptTokens: number
  readonly outputTokens: number
  readonly cachedTokens: number
  /** Prompt tokens whose blocks this request added to the cache. */
  readonly createdTokens: number
}

/** `generations` grouped by prompt: the choices of one prompt share its tokens. */
export const usageOf = (pod: PodState, prompts: ReadonlyArray<ReadonlyArray<Generation>>): TokenUsage => {
  let promptTokens = 0
  let outputTokens = 0
  let cachedTokens = 0
  let createdTokens = 0
  const size = pod.served.blockSizeTokens
  for (const choices of prompts) {
    const first = choices[0]?.request
    if (first === undefined) continue
    promptTokens += first.promptTokens
    cachedTokens += first.cachedTokens
    createdTokens += Math.max(0, Math.floor(first.promptTokens / size) * size - first.cachedTokens)
    for (const choice of choices) outputTokens += choice.visibleTokens
  }
  return { promptTokens, outputTokens, cachedTokens, createdTokens }
}

/** OpenAI's `usage`, as in an answer that is not streamed. */
export const usageFields = (usage: TokenUsage, createdKnown: boolean) => ({
  prompt_tokens: usage.promptTokens,
  total_tokens: usage.promptTokens + usage.outputTokens,
  completion_tokens: usage.outputTokens,
  prompt_tokens_details: {
    cached_tokens: usage.cachedTokens,
    created_cache_tokens: createdKnown ? usage.createdTokens : null,
    multimodal_tokens: null
  },
  completion_tokens_details: null
})

/** The same in the last chunk of a stream, where vLLM leaves out what is null. */
export const streamUsageFields = (usage: TokenUsage, createdKnown: boolean) => ({
  prompt_tokens: usage.promptTokens,
  total_tokens: usage.promptTokens + usage.outputTokens,
  completion_tokens: usage.outputTokens,
  prompt_tokens_details: createdKnown
    ? { cached_tokens: usage.cachedTokens, created_cache_tokens: usage.createdTokens }
    : { cached_tokens: usage.cachedTokens }
})

/** In every chunk, as JSON, when the client asked for continuous statistics. */
export const continuousUsageJson = (promptTokens: number, outputTokens: number): string =>
  `{"prompt_tokens":${promptTokens},"total_tokens":${promptTokens + outputTokens},` +
  `"completion_tokens":${outputTokens},"completion_tokens_details":null}`
