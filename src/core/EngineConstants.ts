/**
 * How fast one model runs on one kind of hardware: all the cost model and the emulated engine know about a GPU.
 * Seconds throughout. Source of the form and of the first preset: DESIGN 5.
 */
export interface EngineConstants {
  /** a: prefill compute of one token. */
  readonly prefillTokenS: number
  /** b: attention of one prefilled token to one token before it. */
  readonly attentionPairS: number
  /** w: reading the weights once, paid by every step. */
  readonly weightReadS: number
  /** t0: fixed time of a step. */
  readonly stepFixedS: number
  /** c: one more decoding request in a step. */
  readonly decodeRequestS: number
  /** d: one more context token read in a decode step. */
  readonly contextTokenS: number
  /** Tokens that one engine step may prefill (vLLM `max_num_batched_tokens`). */
  readonly batchedTokensMax: number
  /** KV capacity assumed until the pod reports `vllm:cache_config_info`. */
  readonly kvCapacityTokens: number
}

export const sameConstants = (a: EngineConstants, b: EngineConstants): boolean =>
  a.prefillTokenS === b.prefillTokenS && a.attentionPairS === b.attentionPairS && a.weightReadS === b.weightReadS &&
  a.stepFixedS === b.stepFixedS && a.decodeRequestS === b.decodeRequestS && a.contextTokenS === b.contextTokenS &&
  a.batchedTokensMax === b.batchedTokensMax && a.kvCapacityTokens === b.kvCapacityTokens

/** Time to prefill `tokens` of a prompt whose first `cachedTokens` are in the KV cache already. */
export const prefillSeconds = (e: EngineConstants, tokens: number, cachedTokens: number): number =>
  e.prefillTokenS * tokens + e.attentionPairS * tokens * (cachedTokens + tokens / 2)

/** Time of one decode step with `requests` decoding over `contextTokens` in all. */
export const decodeStepSeconds = (e: EngineConstants, requests: number, contextTokens: number): number => {
  const compute = e.prefillTokenS * requests
  return (
    e.stepFixedS +
    Math.sqrt(e.weightReadS * e.weightReadS + compute * compute) +
    e.decodeRequestS * requests +
    e.contextTokenS * contextTokens
  )
}
