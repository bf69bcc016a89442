import type { JsonObject } from "../features/canonicalPrompt.ts"

/** All that another pod needs to go on with a stream, but for its tokens. */
export interface StreamTerms {
  readonly kind: "chat" | "completions"
  /** Members of the new request that are the same whatever was said so far, as JSON without the braces. */
  readonly parameters: string
  readonly outputTokensMax: number | undefined
  readonly outputTokensMin: number
  readonly includeUsage: boolean
  readonly continuousUsage: boolean
  /** The client asked for token ids itself, so it gets them. */
  readonly showsTokenIds: boolean
}

/** vLLM's `max_tokens` of a completion that names none; a chat, and a completion's null, goes on to the end of the context. */
const completionTokensDefault = 16
/** Longer ones, such as a large `logit_bias`, are not worth keeping for each stream. */
const parametersCharsMax = 4_096

type Check = (value: unknown) => boolean

const any: Check = () => true
const isUnset: Check = (value) => value === undefined || value === null
const unsetOr = (...values: ReadonlyArray<unknown>): Check => (value) => isUnset(value) || values.includes(value)

/** Sampling fields that chat and completions share and that mean the same in the middle of an answer. */
const carried: ReadonlyArray<string> = [
  "temperature",
  "top_p",
  "top_k",
  "min_p",
  // It counts the prompt too, so what was said weighs the same as a part of it.
  "repetition_penalty",
  "seed",
  "logit_bias",
  "allowed_token_ids",
  "stop",
  "stop_token_ids",
  "ignore_eos",
  "skip_special_tokens",
  "spaces_between_special_tokens",
  "cache_salt",
  "priority",
  "session_id",
  "stream_interval"
]

/**
 * vLLM holds back as many characters as the longest stop string has, less one, so with longer ones its tokens are ahead
 * of its text. With `include_stop_str_in_output` the beginning of a stop string may have been sent.
 */
const isShortStop: Check = (value) => {
  const stops = isUnset(value) ? [] : Array.isArray(value) ? value : [value]
  return stops.every((stop) => typeof stop === "string" && [...stop].length <= 1)
}

const isPlainText: Check = (value) => isUnset(value) || (value as JsonObject)["type"] === "text"

/** Fields that either do not reach the sampler or are checked one by one. Any other field: no rescue. */
const checks: Readonly<Record<string, Check>> = {
  model: any,
  stream: any,
  stream_options: any,
  user: any,
  metadata: any,
  store: any,
  service_tier: any,
  safety_identifier: any,
  prompt_cache_key: any,
  parallel_tool_calls: any,
  n: unsetOr(1),
  best_of: unsetOr(1),
  max_tokens: any,
  max_completion_tokens: any,
  min_tokens: any,
  stop: isShortStop,
  skip_special_tokens: unsetOr(true),
  // What was said would count as prompt, and these two count the answer alone.
  frequency_penalty: unsetOr(0),
  presence_penalty: unsetOr(0),
  response_format: isPlainText,
  use_beam_search: unsetOr(false),
  include_stop_str_in_output: unsetOr(false),
  return_token_ids: (value) => value === undefined || value === true,
  truncate_prompt_tokens: isUnset,
  structured_outputs: isUnset,
  prompt_logprobs: isUnset,
  echo: unsetOr(false)
}

const chatChecks: Readonly<Record<string, Check>> = {
  ...checks,
  messages: any,
  tools: any,
  tool_choice: unsetOr("none"),
  logprobs: unsetOr(false),
  top_logprobs: unsetOr(0),
  reasoning_effort: any,
  include_reasoning: unsetOr(true),
  add_generation_prompt: any,
  continue_final_message: any,
  add_special_tokens: any,
  documents: any,
  chat_template: any,
  chat_template_kwargs: any
}

const completionChecks: Readonly<Record<string, Check>> = {
  ...checks,
  prompt: (value) => typeof value === "string" || isOnePrompt(value),
  suffix: isUnset,
  logprobs: isUnset,
  add_special_tokens: any
}

/**
 * Undefined: this stream can't go on elsewhere without the client noticing. `model` is what the pods call it, empty when
 * the request names none.
 */
export const termsOf = (kind: "chat" | "completions", body: JsonObject, model: string): StreamTerms | undefined => {
  const rules = kind === "chat" ? chatChecks : completionChecks
  for (const name in body) {
    // A member may be called as something that every object inherits.
    const check = Object.hasOwn(rules, name) ? rules[name] : undefined
    if (check === undefined ? !carried.includes(name) : !check(body[name])) return undefined
  }
  if (kind === "chat" && (offersTools(body) || hasMedia(body["messages"]))) return undefined
  const options = (body["stream_options"] ?? {}) as JsonObject
  const limit = body["max_completion_tokens"] ?? body["max_tokens"]
  const parameters = parametersOf(body, model)
  if (parameters.length > parametersCharsMax) return undefined
  return {
    kind,
    parameters,
    outputTokensMax: outputTokensMaxOf(kind, limit),
    outputTokensMin: typeof body["min_tokens"] === "number" ? body["min_tokens"] : 0,
    includeUsage: options["include_usage"] === true,
    continuousUsage: options["include_usage"] === true && options["continuous_usage_stats"] === true,
    showsTokenIds: body["return_token_ids"] === true
  }
}

const outputTokensMaxOf = (kind: StreamTerms["kind"], limit: unknown): number | undefined => {
  if (typeof limit === "number") return limit
  return kind === "chat" || limit === null ? undefined : completionTokensDefault
}

/** Tools without a choice mean the choice `auto`. */
const offersTools = (body: JsonObject): boolean => !isUnset(body["tools"]) && body["tool_choice"] !== "none"

/** Token ids can't say what is in an image, so only text goes on elsewhere. */
const hasMedia = (messages: unknown): boolean =>
  Array.isArray(messages) && messages.some((message: unknown) => {
    const content = (message as JsonObject | null)?.["content"]
    return Array.isArray(content) && !content.every(isTextPart)
  })

const textTypes: ReadonlySet<unknown> = new Set(["text", "input_text", "output_text", "refusal", "thinking"])

/** A part without a type is to vLLM whatever its members make it, and a picture may have a text beside it. */
const isTextPart = (part: unknown): boolean => {
  if (typeof part === "string") return true
  const members = (part ?? {}) as JsonObject
  if (members["type"] !== undefined) return textTypes.has(members["type"])
  return typeof members["text"] === "string" && Object.keys(members).length === 1
}

const isOnePrompt = (value: unknown): boolean =>
  Array.isArray(value) && (typeof value[0] === "number" || (value.length === 1 && typeof value[0] === "string"))

const parametersOf = (body: JsonObject, model: string): string => {
  const members: Record<string, unknown> = model === "" ? {} : { model }
  for (const name of carried) if (!isUnset(body[name])) members[name] = body[name]
  return JSON.stringify(members).slice(1, -1)
}
