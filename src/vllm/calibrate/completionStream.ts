import { CalibrationProblem, RequestRefused } from "./CalibrationProblem.ts"

/** One streamed completion of a random prompt. */
export interface CompletionCall {
  readonly url: string
  /** From `completionBody`. */
  readonly body: string
  /** Ends the request on the pod. */
  readonly signal: AbortSignal
  /** Called as tokens arrive, with how many there are by now. */
  readonly onTokens: (tokens: number, nowMs: number) => void
}

/** Ordinary words in vocabularies large and small: special tokens stand before the first or after the last. */
const TOKEN_ID_FIRST = 1000
const TOKEN_ID_END = 8000

/** A prompt that no cache has seen, as token ids, so that its length is exact whatever the tokenizer. */
const randomPrompt = (promptTokens: number): ReadonlyArray<number> =>
  Array.from(
    { length: promptTokens },
    () => TOKEN_ID_FIRST + Math.floor(Math.random() * (TOKEN_ID_END - TOKEN_ID_FIRST))
  )

/** Body for `POST /v1/completions` with exactly `outputTokens` tokens of answer. */
export const completionBody = (model: string, promptTokens: number, outputTokens: number): string =>
  JSON.stringify({
    model,
    prompt: randomPrompt(promptTokens),
    max_tokens: outputTokens,
    min_tokens: outputTokens,
    ignore_eos: true,
    temperature: 0,
    stream: true,
    // A pod may send several tokens in one event, so it is asked for the count.
    stream_options: { include_usage: true, continuous_usage_stats: true }
  })

const COUNT = /"completion_tokens":\s*(\d+)/
const LINE_CHARS_MAX = 1 << 20
const COMPLAINT_CHARS_MAX = 300

/** Resolves at the stream's end; rejects with RequestRefused, CalibrationProblem or, once aborted, with anything. */
export const streamCompletion = async ({ body, onTokens, signal, url }: CompletionCall): Promise<void> => {
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "user-agent": "warmroute" },
    body,
    redirect: "manual",
    proxy: false,
    signal
  })
  if (response.status !== 200 || response.body === null) {
    throw new RequestRefused({ status: response.status, why: complaintOf(await response.text()) })
  }
  const decoder = new TextDecoder()
  let rest = ""
  let tokens = 0
  const reader = response.body.getReader()
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    const nowMs = performance.now()
    const lines = (rest + decoder.decode(piece.value, { stream: true })).split("\n")
    rest = lines.pop() ?? ""
    if (rest.length > LINE_CHARS_MAX) throw new CalibrationProblem({ why: "the pod sends an event without an end" })
    const before = tokens
    for (const line of lines) tokens = tokensAfter(line, tokens)
    if (tokens > before) onTokens(tokens, nowMs)
  }
}

const tokensAfter = (line: string, tokens: number): number => {
  if (line.startsWith(`data: {"error"`)) {
    throw new CalibrationProblem({ why: `the pod broke a stream off: ${complaintOf(line.slice("data: ".length))}` })
  }
  const count = COUNT.exec(line)
  if (count !== null) return Math.max(tokens, Number(count[1]))
  return line.includes(`"choices":[{`) ? tokens + 1 : tokens
}

/** vLLM's own words, or the beginning of whatever it is. */
const complaintOf = (text: string): string => {
  const message = /"message":\s*"((?:[^"\\]|\\.)*)"/.exec(text)?.[1]?.replace(/\\(.)/g, "$1")
  return (message ?? text).slice(0, COMPLAINT_CHARS_MAX).trim()
}
