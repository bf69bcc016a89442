import {
  booleanOf,
  type FieldRule,
  type Fields,
  integerOf,
  isFields,
  listOf,
  numberOf,
  pythonFloat
} from "./bodyFields.ts"
import type { OutputLimits } from "./OutputPlan.ts"
import { badParameter, badRequest } from "./VllmError.ts"

/** The sampling fields that have a type to check, whatever the API. */
export const samplingRules: ReadonlyArray<FieldRule> = [
  { name: "frequency_penalty", kind: "number" },
  { name: "max_tokens", kind: "integer" },
  { name: "max_completion_tokens", kind: "integer" },
  { name: "n", kind: "integer" },
  { name: "presence_penalty", kind: "number" },
  { name: "seed", kind: "integer" },
  { name: "stream", kind: "boolean" },
  { name: "temperature", kind: "number" },
  { name: "top_p", kind: "number" },
  { name: "top_k", kind: "integer" },
  { name: "min_tokens", kind: "integer" },
  { name: "ignore_eos", kind: "boolean" },
  { name: "cache_salt", kind: "string" }
]

/** What a body asks of the answer, whatever the API. */
export interface Sampling {
  readonly limits: OutputLimits
  readonly choices: number
  readonly stream: boolean
  readonly includeUsage: boolean
  readonly continuousUsage: boolean
  readonly returnTokenIds: boolean
}

/** Reads and checks the sampling fields. `limitNames` are this API's names of the output limit, first one wins. */
export const readSampling = (
  body: Fields,
  promptTokens: number,
  maxModelLen: number,
  limitNames: ReadonlyArray<string>,
  defaultMax?: number
): Sampling => {
  const stream = booleanOf(body, "stream")
  const options = isFields(body["stream_options"]) ? body["stream_options"] : {}
  if (!stream && body["stream_options"] !== undefined && body["stream_options"] !== null) {
    throw badRequest("Stream options can only be defined when `stream=True`.", "stream_options")
  }
  if (body["cache_salt"] === "") {
    throw badRequest(
      "Parameter 'cache_salt' must be a non-empty string if provided. (parameter=cache_salt)",
      "cache_salt"
    )
  }
  const asked = limitNames.map((name) => integerOf(body, name)).find((value) => value !== undefined)
  checkLengths(promptTokens, maxModelLen, asked)
  checkRanges(body)
  const choices = integerOf(body, "n") ?? 1
  if (choices < 1) throw badParameter(`n must be at least 1, got ${choices}.`, "n", `${choices}`)
  if (choices > choicesMax) throw badParameter(`n must be at most ${choicesMax}, got ${choices}.`, "n", `${choices}`)
  const stop = body["stop"] ?? body["stop_sequences"]
  const stops = typeof stop === "string" ? [stop] : Array.isArray(stop) ? stop.map(String) : []
  return {
    limits: {
      outputTokensMax: Math.min(asked ?? defaultMax ?? maxModelLen, maxModelLen - promptTokens),
      outputTokensMin: integerOf(body, "min_tokens") ?? 0,
      ignoreEnd: booleanOf(body, "ignore_eos"),
      stops,
      includeStop: booleanOf(body, "include_stop_str_in_output")
    },
    choices,
    stream,
    includeUsage: booleanOf(options, "include_usage"),
    continuousUsage: booleanOf(options, "continuous_usage_stats"),
    returnTokenIds: booleanOf(body, "return_token_ids")
  }
}

/** Answers to one request, so that a single body can't flood the engine. */
const choicesMax = 128

const checkLengths = (promptTokens: number, maxModelLen: number, asked: number | undefined): void => {
  const limit = `This model's maximum context length is ${maxModelLen} tokens.`
  if (promptTokens >= maxModelLen) {
    // vLLM stops tokenizing one token beyond the limit, hence "at least".
    throw badParameter(
      `${limit} However, your prompt contains at least ${
        maxModelLen + 1
      } input tokens, which exceeds this limit even ` +
        "without any output tokens. Please reduce the length of the input prompt.",
      "input_tokens",
      `${maxModelLen + 1}`
    )
  }
  if (asked === undefined) return
  if (asked < 1) throw badParameter(`max_tokens must be at least 1, got ${asked}.`, "max_tokens", `${asked}`)
  if (asked > maxModelLen) {
    throw badParameter(
      `max_tokens=${asked} cannot be greater than max_model_len=${maxModelLen}. Please request fewer output tokens.`,
      "max_tokens",
      `${asked}`
    )
  }
  if (promptTokens + asked > maxModelLen) {
    throw badParameter(
      `${limit} However, you requested ${asked} output tokens and your prompt contains at least ${promptTokens} input ` +
        `tokens, for a total of at least ${
          promptTokens + asked
        } tokens. Please reduce the length of the input prompt ` +
        "or the number of requested output tokens.",
      "input_tokens",
      `${promptTokens}`
    )
  }
}

const checkRanges = (body: Fields): void => {
  const temperature = numberOf(body, "temperature") ?? 1
  if (temperature < 0) {
    const text = pythonFloat(temperature)
    throw badParameter(`temperature must be non-negative, got ${text}.`, "temperature", text)
  }
  const topP = numberOf(body, "top_p") ?? 1
  if (topP <= 0 || topP > 1) {
    const text = pythonFloat(topP)
    throw badParameter(`top_p must be in (0, 1], got ${text}.`, "top_p", text)
  }
  for (const name of ["presence_penalty", "frequency_penalty"]) {
    const penalty = numberOf(body, name) ?? 0
    if (penalty < -2 || penalty > 2) {
      const text = pythonFloat(penalty)
      throw badParameter(`${name} must be in [-2, 2], got ${text}.`, name, text)
    }
  }
}

/** Tools that a body offers, and whether its `tool_choice` forces one; throws where vLLM refuses. */
export const forcedTool = (body: Fields, toolCallParser: boolean): Fields | undefined => {
  const tools = listOf(body, "tools").filter(isFields)
  const choice = body["tool_choice"] ?? (tools.length > 0 ? "auto" : "none")
  if (tools.length === 0 || choice === "none") return undefined
  if (choice === "auto") {
    if (toolCallParser) return undefined
    throw badRequest("\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set")
  }
  const functions = tools.map((tool) => tool["function"]).filter(isFields)
  if (choice === "required") return functions[0]
  const named = isFields(choice) && isFields(choice["function"]) ? choice["function"]["name"] : undefined
  const found = functions.find((item) => item["name"] === named)
  if (found === undefined) {
    throw badRequest(`The tool specified in \`tool_choice\` does not match any of the specified \`tools\``)
  }
  return found
}
