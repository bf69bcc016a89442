import type { WorldRequest } from "./WorldRequest.ts"

/** What a pod says at the end. */
export interface PodUsage {
  readonly cachedTokens: number
  readonly outputTokens: number
}

/** How a pod was asked for an answer: it writes the way that vLLM does on that route. */
export interface AnswerTerms {
  readonly kind: "chat" | "completions"
  readonly id: string
  readonly showsTokenIds: boolean
  readonly includesUsage: boolean
  /** Output tokens that are part of the prompt here, since another pod said them. */
  readonly said: number
}

const model = "common"
/** Ids of a prompt as pods see it; how long it is for the engine is another matter. */
const PROMPT_IDS = 4

export const promptIds = ({ number }: WorldRequest): ReadonlyArray<number> =>
  Array.from({ length: PROMPT_IDS }, (_, index) => number + index)

export const tokenId = ({ number }: WorldRequest, index: number): number => 1000 + ((number * 31 + index * 7) % 50_000)

/** Every fifth token is half a character: its text comes with the next. */
export const wordOf = ({ number, outputTokens }: WorldRequest, index: number): string => {
  const word = (at: number): string => ` ${(number * 13 + at).toString(36)}`
  if (index % 5 === 3 && index !== outputTokens - 1) return ""
  return index % 5 === 4 ? word(index - 1) + word(index) : word(index)
}

export const textOf = (request: WorldRequest): string => {
  let text = ""
  for (let index = 0; index < request.outputTokens; index++) text += wordOf(request, index)
  return text
}

/** The limit that a client set is what ends its answer, or the model does. */
export const finishReasonOf = ({ features, outputTokens }: WorldRequest): "length" | "stop" =>
  features.outputTokensMax === outputTokens ? "length" : "stop"

/** Output tokens `from` up to `to` of the whole answer, as events; the first of a call begins it. */
export const tokenEvents = (request: WorldRequest, terms: AnswerTerms, from: number, to: number): string => {
  let text = from === terms.said && terms.kind === "chat" ? chatStart(request, terms) : ""
  for (let index = from; index < to; index++) {
    const isLast = index === request.outputTokens - 1
    // What another pod says of a prompt's half character is only the other half.
    const isTorn = index === terms.said && index % 5 === 4
    const word = JSON.stringify(isTorn ? "" : wordOf(request, index))
    const reason = isLast ? `"${finishReasonOf(request)}"` : "null"
    const ids = terms.showsTokenIds ? `[${tokenId(request, index)}]` : "null"
    text += terms.kind === "chat"
      ? `${headOf(terms)}"choices":[{"index":0,"delta":{"content":${word}},"logprobs":null,"finish_reason":${reason},${
        isLast ? "\"stop_reason\":null," : ""
      }"token_ids":${ids}}]}\n\n`
      : `${headOf(terms)}"choices":[{"index":0,"text":${word},"logprobs":null,"finish_reason":${reason},` +
        `"stop_reason":null,"prompt_token_ids":${
          index === terms.said && terms.showsTokenIds ? JSON.stringify(promptOf(request, terms)) : "null"
        },"token_ids":${ids}}]}\n\n`
  }
  return text
}

/** What comes after the last token of a stream. */
export const streamEnd = (terms: AnswerTerms, usage: PodUsage): string =>
  `${terms.includesUsage ? `${headOf(terms)}"choices":[],"usage":${usageOf(terms, usage)}}\n\n` : ""}data: [DONE]\n\n`

/** An answer as one. */
export const plainAnswer = (request: WorldRequest, terms: AnswerTerms, usage: PodUsage): string => {
  const reason = `"logprobs":null,"finish_reason":"${finishReasonOf(request)}"`
  const text = JSON.stringify(textOf(request))
  const choice = terms.kind === "chat" ? `"message":{"role":"assistant","content":${text}}` : `"text":${text}`
  return `{"id":"${terms.id}","model":"${model}","choices":[{"index":0,${choice},${reason}}],` +
    `"usage":${usageOf(terms, usage)}}`
}

/** By which a pod gives up in mid-stream. */
export const surrender = "data: {\"error\":{\"message\":\"EngineCore encountered an issue\",\"code\":500}}\n\n"

/** vLLM's last event of a request that its engine gave up; it has no token. */
export const abortEvent = (terms: AnswerTerms): string => {
  const ids = terms.showsTokenIds ? "[]" : "null"
  const end = `"logprobs":null,"finish_reason":"abort","stop_reason":null`
  return terms.kind === "chat"
    ? `${headOf(terms)}"choices":[{"index":0,"delta":{"content":""},${end},"token_ids":${ids}}]}\n\n`
    : `${headOf(terms)}"choices":[{"index":0,"text":"",${end},"prompt_token_ids":null,"token_ids":${ids}}]}\n\n`
}

const headOf = ({ id, kind }: AnswerTerms): string =>
  `data: {"id":"${id}","object":"${kind === "chat" ? "chat.completion.chunk" : "text_completion"}",` +
  `"created":1,"model":"${model}",`

const chatStart = (request: WorldRequest, terms: AnswerTerms): string =>
  `${headOf(terms)}"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,` +
  `"finish_reason":null}]${
    terms.showsTokenIds ? `,"prompt_token_ids":${JSON.stringify(promptOf(request, terms))}` : ""
  }}\n\n`

const promptOf = (request: WorldRequest, { said }: AnswerTerms): ReadonlyArray<number> => [
  ...promptIds(request),
  ...Array.from({ length: said }, (_, index) => tokenId(request, index))
]

const usageOf = ({ said }: AnswerTerms, { cachedTokens, outputTokens }: PodUsage): string =>
  `{"prompt_tokens":${PROMPT_IDS + said},"total_tokens":${PROMPT_IDS + said + outputTokens},` +
  `"completion_tokens":${outputTokens},"prompt_tokens_details":{"cached_tokens":${Math.min(cachedTokens, PROMPT_IDS)}}}`
