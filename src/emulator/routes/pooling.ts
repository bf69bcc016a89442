import { promptOf, startPrefill, textHash } from "../answer.ts"
import { type FieldRule, type Fields, integerOf, isFields, listOf, readFields, stringOf } from "../bodyFields.ts"
import { chatTokens } from "../chatTemplate.ts"
import { clientClosed, jsonAnswer } from "../wireAnswers.ts"
import { type PodState, randomId } from "../PodState.ts"
import { readSampling } from "../sampling.ts"
import { specialTokens } from "../Tokenizer.ts"
import { badRequest } from "../VllmError.ts"

const dimensionsDefault = 64
const dimensionsMax = 8192
/** Texts that one body may carry. */
const textsMax = 2048

const inputRules: ReadonlyArray<FieldRule> = [
  { name: "model", kind: "string" },
  { name: "input", kind: "text or list" },
  { name: "messages", kind: "list" },
  { name: "dimensions", kind: "integer" },
  { name: "encoding_format", kind: "string" }
]
const rerankRules: ReadonlyArray<FieldRule> = [
  { name: "model", kind: "string" },
  { name: "query", kind: "string", required: true },
  { name: "documents", kind: "list", required: true },
  { name: "top_n", kind: "integer" }
]
const scoreRules: ReadonlyArray<FieldRule> = [{ name: "model", kind: "string" }]

/** `POST /v1/embeddings` */
export const embeddings = (pod: PodState, request: Request): Promise<Response> =>
  poolInputs(pod, request, "embd", (index, tokens, body) => {
    const vector = embedding(tokens, integerOf(body, "dimensions") ?? dimensionsDefault)
    const isBase64 = body["encoding_format"] === "base64"
    return {
      index,
      object: "embedding",
      embedding: isBase64 ? Buffer.from(Float32Array.from(vector).buffer).toString("base64") : vector
    }
  })

/** `POST /pooling` */
export const pooling = (pod: PodState, request: Request): Promise<Response> =>
  poolInputs(pod, request, "pool", (index, tokens) => ({
    index,
    object: "pooling",
    data: embedding(tokens, dimensionsDefault)
  }))

/** `POST /classify`: two classes. */
export const classify = (pod: PodState, request: Request): Promise<Response> =>
  poolInputs(pod, request, "classify", (index, tokens) => {
    const first = (unitOf(tokensHash(tokens)) + 1) / 2
    return { index, label: first > 0.5 ? "LABEL_0" : "LABEL_1", probs: [first, 1 - first], num_classes: 2 }
  })

/** `POST /v1/score`, `/score`: one text against each of the others. */
export const score = async (pod: PodState, request: Request): Promise<Response> => {
  const body = await readFields(request, scoreRules)
  const model = pod.modelOf(stringOf(body, "model"))
  const left = textsOf(body["queries"] ?? body["text_1"])
  const right = textsOf(body["documents"] ?? body["items"] ?? body["text_2"])
  if (left.length === 0 || right.length === 0) throw badRequest("At least one text_pair element must be given")
  if (left.length > 1 && left.length !== right.length) {
    throw badRequest("Input lengths must be either 1:1, 1:N or N:N")
  }
  const pairs = right.map((text, index) => `${left[left.length > 1 ? index : 0]!}\n${text}`)
  const counted = await prefillTexts(pod, model, pairs, request, body)
  if (counted === undefined) return clientClosed()
  return jsonAnswer({
    id: `score-${randomId()}`,
    object: "list",
    created: Math.floor(Date.now() / 1000),
    model,
    data: pairs.map((pair, index) => ({ index, object: "score", score: relevance(pair) })),
    usage: poolingUsage(counted)
  })
}

/** `POST /v1/rerank`, `/rerank`, `/v2/rerank` */
export const rerank = async (pod: PodState, request: Request): Promise<Response> => {
  const body = await readFields(request, rerankRules)
  const model = pod.modelOf(stringOf(body, "model"))
  const documents = textsOf(body["documents"])
  const pairs = documents.map((text) => `${stringOf(body, "query") ?? ""}\n${text}`)
  const counted = await prefillTexts(pod, model, pairs, request, body)
  if (counted === undefined) return clientClosed()
  const results = documents
    .map((text, index) => ({ index, document: { text, multi_modal: null }, relevance_score: relevance(pairs[index]!) }))
    .sort((a, b) => b.relevance_score - a.relevance_score)
  const top = integerOf(body, "top_n") ?? 0
  return jsonAnswer({
    id: `rerank-${randomId()}`,
    model,
    usage: { prompt_tokens: counted, total_tokens: counted },
    results: top > 0 ? results.slice(0, top) : results
  })
}

/** The common frame of the routes that turn each input into one entry of `data`. */
const poolInputs = async (
  pod: PodState,
  request: Request,
  idPrefix: string,
  entry: (index: number, tokens: ReadonlyArray<number>, body: Fields) => object
): Promise<Response> => {
  const body = await readFields(request, inputRules)
  const model = pod.modelOf(stringOf(body, "model"))
  const dimensions = integerOf(body, "dimensions") ?? dimensionsDefault
  if (dimensions < 1 || dimensions > dimensionsMax) {
    throw badRequest(`dimensions must be between 1 and ${dimensionsMax}, got ${dimensions}.`, "dimensions")
  }
  const inputs = inputTokens(pod, body)
  const counted = await prefillAll(pod, model, inputs, request, body)
  if (counted === undefined) return clientClosed()
  return jsonAnswer({
    id: `${idPrefix}-${randomId()}`,
    object: "list",
    created: Math.floor(Date.now() / 1000),
    model,
    data: inputs.map((tokens, index) => entry(index, tokens, body)),
    usage: poolingUsage(counted)
  })
}

const inputTokens = (pod: PodState, body: Fields): ReadonlyArray<ReadonlyArray<number>> => {
  if (Array.isArray(body["messages"])) {
    return [chatTokens(pod.tokenizer, listOf(body, "messages"), [], pod.served.model)]
  }
  const input = body["input"]
  if (Array.isArray(input) && input.length > 0) {
    if (input.every(Number.isInteger)) return [input as ReadonlyArray<number>]
    if (input.every((item) => Array.isArray(item) && item.every(Number.isInteger))) {
      return input as ReadonlyArray<ReadonlyArray<number>>
    }
  }
  return textsOf(input).map((text) => encodeText(pod, text))
}

const encodeText = (pod: PodState, text: string): ReadonlyArray<number> =>
  pod.tokenizer.encode(text, [specialTokens.begin])

const textsOf = (value: unknown): ReadonlyArray<string> => {
  if (typeof value === "string") return [value]
  if (!Array.isArray(value)) return []
  return value.map((item: unknown) => isFields(item) ? String(item["text"] ?? JSON.stringify(item)) : String(item))
}

const prefillTexts = (
  pod: PodState,
  model: string,
  texts: ReadonlyArray<string>,
  request: Request,
  body: Fields
): Promise<number | undefined> => prefillAll(pod, model, texts.map((text) => encodeText(pod, text)), request, body)

/** Runs every input through the engine; prompt tokens in all, or undefined when the client has gone. */
const prefillAll = async (
  pod: PodState,
  model: string,
  inputs: ReadonlyArray<ReadonlyArray<number>>,
  request: Request,
  body: Fields
): Promise<number | undefined> => {
  if (inputs.length === 0) throw badRequest("At least one input must be given")
  if (inputs.length > textsMax) {
    throw badRequest(`A request may carry at most ${textsMax} inputs, got ${inputs.length}.`)
  }
  for (const tokens of inputs) {
    if (tokens.length === 0) throw badRequest("An input must not be empty")
    readSampling({}, tokens.length, pod.served.maxModelLen, [])
  }
  const runs = inputs.map((tokens) => startPrefill(pod, promptOf(model, tokens, body), request.signal))
  await Promise.all(runs.map((run) => run.whenEnded))
  if (runs.some((run) => run.aborted)) return undefined
  return inputs.reduce((sum, tokens) => sum + tokens.length, 0)
}

const poolingUsage = (promptTokens: number) => ({
  prompt_tokens: promptTokens,
  total_tokens: promptTokens,
  completion_tokens: 0,
  prompt_tokens_details: null
})

/** A unit vector that only the tokens decide. */
const embedding = (tokens: ReadonlyArray<number>, dimensions: number): ReadonlyArray<number> => {
  let state = tokensHash(tokens)
  const values = Array.from({ length: dimensions }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return unitOf(state)
  })
  const norm = Math.hypot(...values) || 1
  return values.map((value) => value / norm)
}

const tokensHash = (tokens: ReadonlyArray<number>): number =>
  tokens.reduce((hash, token) => Math.imul(hash ^ token, 0x9e3779b1) ^ (hash >>> 15), 1)

/** In [-1, 1). */
const unitOf = (state: number): number => (state | 0) / 2 ** 31

const relevance = (pair: string): number => (unitOf(Math.imul(textHash(pair), 0x9e3779b1)) + 1) / 2
