import { fixedTextOfFormat, promptOf, startAnswers } from "../answer.ts"
import { booleanOf, type FieldRule, type Fields, integerOf, listOf, readFields, stringOf } from "../bodyFields.ts"
import { chatTokens } from "../chatTemplate.ts"
import type { Generation } from "../Generation.ts"
import { jsonAnswer, requestIdOf, streamAnswer, systemFingerprint, wholeAnswer } from "../wireAnswers.ts"
import { chatLogprobs } from "../logprobs.ts"
import { type PodState, randomId } from "../PodState.ts"
import { sampleOf } from "../sampleJson.ts"
import { forcedTool, readSampling, samplingRules } from "../sampling.ts"
import { tokenStream } from "../TokenStream.ts"
import { usageFields, usageOf } from "../usage.ts"
import { type ChatCall, chatStreamShape } from "./chatStream.ts"

const chatRules: ReadonlyArray<FieldRule> = [
  { name: "messages", kind: "list", required: true },
  { name: "model", kind: "string" },
  { name: "tools", kind: "list" },
  { name: "logprobs", kind: "boolean" },
  { name: "top_logprobs", kind: "integer" },
  ...samplingRules
]

/** `POST /v1/chat/completions` */
export const chatCompletions = async (pod: PodState, request: Request): Promise<Response> => {
  const body = await readFields(request, chatRules)
  const model = pod.modelOf(stringOf(body, "model"))
  const tool = forcedTool(body, pod.served.toolCallParser)
  const tokens = chatTokens(pod.tokenizer, listOf(body, "messages"), listOf(body, "tools"), pod.served.model)
  const limits = ["max_completion_tokens", "max_tokens"]
  const sampling = readSampling(body, tokens.length, pod.served.maxModelLen, limits)
  const call: ChatCall = {
    id: `chatcmpl-${requestIdOf(request, randomId())}`,
    created: Math.floor(Date.now() / 1000),
    model,
    promptTokens: tokens,
    topLogprobs: booleanOf(body, "logprobs") ? integerOf(body, "top_logprobs") ?? 0 : undefined,
    returnTokenIds: sampling.returnTokenIds,
    includeUsage: sampling.includeUsage,
    continuousUsage: sampling.continuousUsage,
    toolName: tool === undefined ? undefined : String(tool["name"])
  }
  const fixed = tool === undefined ? fixedTextOfFormat(body) : toolText(tool)
  const generations = startAnswers(pod, promptOf(model, tokens, body), sampling, request.signal, fixed)
  if (sampling.stream) {
    return streamAnswer(tokenStream(pod.driver, generations, chatStreamShape(pod, call, generations), false))
  }
  return wholeAnswer(generations, () => jsonAnswer(chatAnswer(pod, call, generations)))
}

const toolText = (tool: Fields) =>
  ({ text: JSON.stringify(sampleOf(tool["parameters"] ?? {}) ?? {}), finishReason: "tool_calls" }) as const

const chatAnswer = (pod: PodState, call: ChatCall, generations: ReadonlyArray<Generation>) => ({
  id: call.id,
  object: "chat.completion",
  created: call.created,
  model: call.model,
  choices: generations.map((generation, index) => ({
    index,
    message: chatMessage(generation, call.toolName),
    logprobs: call.topLogprobs === undefined
      ? null
      : chatLogprobs(pod, generation, 0, generation.plan.tokenCount, call.topLogprobs),
    finish_reason: generation.plan.finishReason,
    stop_reason: generation.plan.stopReason,
    token_ids: call.returnTokenIds ? generation.plan.tokens : null,
    routed_experts: null
  })),
  service_tier: null,
  system_fingerprint: systemFingerprint,
  usage: usageFields(usageOf(pod, [generations]), true),
  prompt_logprobs: null,
  prompt_token_ids: call.returnTokenIds ? call.promptTokens : null,
  prompt_text: null,
  kv_transfer_params: null,
  ec_transfer_params: null,
  metrics: null
})

const chatMessage = (generation: Generation, toolName: string | undefined) => ({
  role: "assistant",
  content: toolName === undefined ? generation.plan.text() : null,
  refusal: null,
  annotations: null,
  audio: null,
  function_call: null,
  ...(toolName === undefined ? {} : { tool_calls: [toolCall(generation.plan.text(), toolName)] }),
  reasoning: null
})

const toolCall = (text: string, name: string) => ({
  id: `chatcmpl-tool-${randomId()}`,
  type: "function",
  function: { name, arguments: text }
})
