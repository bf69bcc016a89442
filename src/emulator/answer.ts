import { type Fields, isFields, stringOf } from "./bodyFields.ts"
import { tokenChain } from "./engine/tokenChain.ts"
import type { Generation } from "./Generation.ts"
import type { LoremText } from "./LoremText.ts"
import { type FinishReason, OutputPlan, planOfProse, planOfText } from "./OutputPlan.ts"
import type { PodState } from "./PodState.ts"
import { sampleOf } from "./sampleJson.ts"
import type { Sampling } from "./sampling.ts"
import { queueFull } from "./VllmError.ts"

/** A request that has been read and checked: what the engine needs. */
export interface Prompt {
  readonly model: string
  readonly tokens: ReadonlyArray<number>
  readonly cacheSalt: string | undefined
  /** It came as token ids, so it may end with the beginning of its own answer. */
  readonly isTokenIds?: boolean
}

export const promptOf = (model: string, tokens: ReadonlyArray<number>, body: Fields): Prompt => ({
  model,
  tokens,
  cacheSalt: stringOf(body, "cache_salt")
})

/** A text that the answer must be, such as the arguments of a forced tool call. */
export interface FixedText {
  readonly text: string
  readonly finishReason: FinishReason
}

/** The JSON that a `response_format` forces, or undefined for free text. */
export const fixedTextOfFormat = (body: Fields): FixedText | undefined => {
  const format = body["response_format"]
  if (!isFields(format)) return undefined
  if (format["type"] === "json_object") return { text: "{}", finishReason: "stop" }
  if (format["type"] !== "json_schema" || !isFields(format["json_schema"])) return undefined
  return { text: JSON.stringify(sampleOf(format["json_schema"]["schema"])), finishReason: "stop" }
}

/** Starts all the answers to one prompt. A client that goes away before the answer begins aborts them. */
export const startAnswers = (
  pod: PodState,
  prompt: Prompt,
  sampling: Sampling,
  signal: AbortSignal,
  fixed?: FixedText
): ReadonlyArray<Generation> => {
  if (pod.driver.refuses()) throw queueFull()
  pod.choicesAsked.observe(sampling.choices)
  const generations = Array.from({ length: sampling.choices }, (_, choice) => {
    pod.outputTokensAsked.observe(sampling.limits.outputTokensMax)
    const plan = fixed === undefined
      ? prosePlan(pod, prompt, sampling, choice)
      : planOfText(pod.tokenizer, fixed.text, sampling.limits, fixed.finishReason)
    return startOne(pod, prompt, plan)
  })
  abortWith(pod, generations, signal)
  return generations
}

/** Runs a prompt that wants no output tokens: embeddings, scores, transcriptions. */
export const startPrefill = (pod: PodState, prompt: Prompt, signal: AbortSignal): Generation => {
  if (pod.driver.refuses()) throw queueFull()
  const generation = startOne(pod, prompt, new OutputPlan([], [], "stop"))
  abortWith(pod, [generation], signal)
  return generation
}

const startOne = (pod: PodState, prompt: Prompt, plan: OutputPlan): Generation => {
  const promptTokens = prompt.tokens.length
  const sequence = new Int32Array(promptTokens + plan.tokenCount)
  sequence.set(prompt.tokens)
  sequence.set(plan.tokens, promptTokens)
  // vLLM mixes adapter and salt into the block hashes, so that nothing is shared across them.
  const adapter = prompt.model === pod.served.model ? "" : prompt.model
  const seed = textHash(`${adapter}\n${prompt.cacheSalt ?? ""}`)
  return pod.driver.start(promptTokens, plan, tokenChain(sequence, pod.served.blockSizeTokens, seed), adapter)
}

const abortWith = (pod: PodState, generations: ReadonlyArray<Generation>, signal: AbortSignal): void => {
  const abort = () => {
    for (const generation of generations) pod.driver.abort(generation)
  }
  if (signal.aborted) abort()
  else signal.addEventListener("abort", abort, { once: true })
}

/**
 * The same prompt and choice give the same prose and the same natural length, and a prompt of token ids that ends with
 * the beginning of that prose gives the rest of it, as greedy sampling would.
 */
const prosePlan = (pod: PodState, prompt: Prompt, sampling: Sampling, choice: number): OutputPlan => {
  const { lorem } = pod
  const seed = textHash(prompt.model) + choice
  const begun = prompt.isTokenIds === true ? begunAnswer(lorem, prompt.tokens, seed) : undefined
  const said = begun?.said ?? 0
  const hash = begun?.hash ?? tokensHash(prompt.tokens, seed)
  const { outputTokensMax, outputTokensMin, ignoreEnd } = sampling.limits
  const whole = Math.max(1, Math.round(pod.served.outputTokensMean * (0.5 + ((hash >>> 12) % 1024) / 1024)))
  const natural = Math.max(0, whole - said)
  const length = ignoreEnd ? outputTokensMax : Math.min(outputTokensMax, Math.max(natural, outputTokensMin))
  const start = proseStart(lorem, hash) + said
  const tokens = Array.from({ length }, (_, index) => lorem.tokens[(start + index) % lorem.tokenCount]!)
  const pieces = Array.from({ length }, (_, index) => lorem.pieces[(start + index) % lorem.tokenCount]!)
  return planOfProse(tokens, pieces, natural, sampling.limits)
}

const proseStart = (lorem: LoremText, hash: number): number => lorem.sentenceStarts[hash % lorem.sentenceStarts.length]!

/** The hash of the prompt without the beginning of its answer, and the tokens of that; undefined: there is none. */
const begunAnswer = (
  lorem: LoremText,
  tokens: ReadonlyArray<number>,
  seed: number
): { readonly hash: number; readonly said: number } | undefined => {
  let hash = seed | 0
  for (let end = 0; end < tokens.length; end++) {
    const start = proseStart(lorem, hash >>> 0)
    let at = end
    while (at < tokens.length && tokens[at] === lorem.tokens[(start + at - end) % lorem.tokenCount]) at++
    if (end > 0 && at === tokens.length) return { hash: hash >>> 0, said: at - end }
    hash = mixed(hash, tokens[end]!)
  }
  return undefined
}

const tokensHash = (tokens: ReadonlyArray<number>, seed: number): number => {
  let hash = seed | 0
  for (const token of tokens) hash = mixed(hash, token)
  return hash >>> 0
}

const mixed = (hash: number, token: number): number => {
  const next = Math.imul(hash ^ token, 0x9e3779b1)
  return next ^ (next >>> 15)
}

export const textHash = (text: string): number => {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return hash | 0
}
