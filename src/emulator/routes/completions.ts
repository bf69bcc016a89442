import { promptOf, startAnswers } from "../answer.ts"
import { booleanOf, type FieldRule, integerOf, readFields, stringOf } from "../bodyFields.ts"
import type { Generation } from "../Generation.ts"
import {
  dataEvent,
  jsonAnswer,
  jsonInner,
  requestIdOf,
  streamAnswer,
  systemFingerprint,
  wholeAnswer
} from "../wireAnswers.ts"
import { completionLogprobs } from "../logprobs.ts"
import { type PodState, randomId } from "../PodState.ts"
import { readSampling, type Sampling, samplingRules } from "../sampling.ts"
import { specialTokens } from "../Tokenizer.ts"
import { type StreamShape, tokenStream } from "../TokenStream.ts"
import { continuousUsageJson, streamUsageFields, usageFields, usageOf } from "../usage.ts"
import { badRequest } from "../VllmError.ts"

const completionRules: ReadonlyArray<FieldRule> = [
  { name: "model", kind: "string" },
  { name: "prompt", kind: "text or list", required: true },
  { name: "echo", kind: "boolean" },
  { name: "logprobs", kind: "integer" },
  ...samplingRules
]

/** vLLM's `max_tokens` of a completion that sets none. */
const outputTokensDefault = 16
/** Prompts that one body may carry. */
const promptsMax = 1024

interface CompletionCall {
  readonly id: string
  readonly created: number
  readonly model: string
  readonly prompts: ReadonlyArray<ReadonlyArray<number>>
  readonly sampling: Sampling
  readonly echo: boolean
  readonly topLogprobs: number | undefined
}

/** `POST /v1/completions` */
export const completions = async (pod: PodState, request: Request): Promise<Response> => {
  const body = await readFields(request, completionRules)
  const model = pod.modelOf(stringOf(body, "model"))
  const prompts = completionPrompts(pod, body["prompt"])
  const longest = Math.max(...prompts.map((tokens) => tokens.length))
  const sampling = readSampling(body, longest, pod.served.maxModelLen, ["max_tokens"], outputTokensDefault)
  const call: CompletionCall = {
    id: `cmpl-${requestIdOf(request, randomId())}`,
    created: Math.floor(Date.now() / 1000),
    model,
    prompts,
    sampling,
    echo: booleanOf(body, "echo"),
    topLogprobs: integerOf(body, "logprobs")
  }
  const isTokenIds = Array.isArray(body["prompt"]) && typeof body["prompt"].flat()[0] === "number"
  const byPrompt = prompts.map((tokens) =>
    startAnswers(pod, { ...promptOf(model, tokens, body), isTokenIds }, sampling, request.signal)
  )
  const generations = byPrompt.flat()
  if (sampling.stream) {
    return streamAnswer(tokenStream(pod.driver, generations, completionStreamShape(pod, call, byPrompt), false))
  }
  return wholeAnswer(generations, () =>
    jsonAnswer({
      id: call.id,
      object: "text_completion",
      created: call.created,
      model,
      choices: generations.map((generation, index) => completionChoice(pod, call, generation, index)),
      service_tier: null,
      system_fingerprint: systemFingerprint,
      usage: usageFields(usageOf(pod, byPrompt), false),
      kv_transfer_params: null,
      ec_transfer_params: null,
      metrics: null
    }))
}

/** A text, texts, token ids, or lists of token ids. */
const completionPrompts = (pod: PodState, prompt: unknown): ReadonlyArray<ReadonlyArray<number>> => {
  const encode = (text: string) => pod.tokenizer.encode(text, [specialTokens.begin])
  if (typeof prompt === "string") return [encode(prompt)]
  const list = prompt as ReadonlyArray<unknown>
  if (list.length === 0) throw badRequest("please provide at least one prompt")
  if (list.length > promptsMax && !list.every(Number.isInteger)) {
    throw badRequest(`a request may carry at most ${promptsMax} prompts, got ${list.length}`)
  }
  if (list.every((item) => typeof item === "string")) return list.map(encode)
  if (list.every(Number.isInteger)) return [list as ReadonlyArray<number>]
  if (list.every((item) => Array.isArray(item) && item.length > 0 && item.every(Number.isInteger))) {
    return list as ReadonlyArray<ReadonlyArray<number>>
  }
  throw badRequest("prompt must be a string, array of strings, array of tokens, or array of token arrays")
}

const completionChoice = (pod: PodState, call: CompletionCall, generation: Generation, index: number) => {
  const { plan } = generation
  const promptTokens = call.prompts[Math.floor(index / call.sampling.choices)]!
  const echoed = call.echo ? promptTokens.map((token) => pod.tokenizer.tokenText(token).replaceAll("Ġ", " ")) : []
  return {
    index,
    text: (call.echo ? pod.tokenizer.decode(promptTokens) : "") + plan.text(),
    logprobs: call.topLogprobs === undefined
      ? null
      : completionLogprobs(pod, generation, 0, plan.tokenCount, call.topLogprobs, echoed),
    finish_reason: plan.finishReason,
    stop_reason: plan.stopReason,
    token_ids: call.sampling.returnTokenIds ? plan.tokens : null,
    prompt_logprobs: null,
    prompt_token_ids: call.sampling.returnTokenIds ? promptTokens : null,
    routed_experts: null
  }
}

const completionStreamShape = (
  pod: PodState,
  call: CompletionCall,
  byPrompt: ReadonlyArray<ReadonlyArray<Generation>>
): StreamShape => {
  const generations = byPrompt.flat()
  const start = `{"id":${JSON.stringify(call.id)},"object":"text_completion","created":${call.created},` +
    `"model":${JSON.stringify(call.model)},"choices":[`
  const { includeUsage, continuousUsage, returnTokenIds } = call.sampling

  const { streamInterval } = pod.driver

  const chunk = (choice: number, from: number, to: number): string => {
    const generation = generations[choice]!
    const { plan, request } = generation
    const isLast = to === plan.tokenCount
    const promptTokens = call.prompts[Math.floor(choice / call.sampling.choices)]!
    const echoed = call.echo && from === 0 ? jsonInner(pod.tokenizer.decode(promptTokens)) : ""
    const logprobs = call.topLogprobs === undefined
      ? "null"
      : JSON.stringify(completionLogprobs(pod, generation, from, to, call.topLogprobs, []))
    const finish = isLast ? `"${plan.finishReason}"` : "null"
    const promptIds = returnTokenIds && from === 0 ? JSON.stringify(promptTokens) : "null"
    const ids = returnTokenIds ? `[${plan.tokens.slice(from, to).join(",")}]` : "null"
    const usage = continuousUsage ? `,"usage":${continuousUsageJson(request.promptTokens, to)}` : ""
    const fingerprint = isLast && !includeUsage ? `,"system_fingerprint":"${systemFingerprint}"` : ""
    return dataEvent(
      `${start}{"index":${choice},"text":"${echoed}${jsonInner(plan.text(from, to))}","logprobs":${logprobs},` +
        `"finish_reason":${finish},"stop_reason":${JSON.stringify(isLast ? plan.stopReason : null)},` +
        `"prompt_token_ids":${promptIds},"token_ids":${ids}}]${usage}${fingerprint}}`
    )
  }

  return {
    head: () => "",
    tokens: (choice, from, to) => {
      let text = ""
      for (let index = from; index < to; index += streamInterval) {
        text += chunk(choice, index, Math.min(to, index + streamInterval))
      }
      return text
    },
    tail: () => {
      if (!includeUsage) return "data: [DONE]\n\n"
      const counts = JSON.stringify(streamUsageFields(usageOf(pod, byPrompt), false))
      return `${dataEvent(`${start}],"usage":${counts},"system_fingerprint":"${systemFingerprint}"}`)}data: [DONE]\n\n`
    }
  }
}
