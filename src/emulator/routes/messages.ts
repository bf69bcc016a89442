import { promptOf, startAnswers } from "../answer.ts"
import { type FieldRule, type Fields, isFields, listOf, readFields, stringOf } from "../bodyFields.ts"
import { chatTokens } from "../chatTemplate.ts"
import type { Generation } from "../Generation.ts"
import { jsonAnswer, jsonInner, namedEvent, requestIdOf, streamAnswer, wholeAnswer } from "../wireAnswers.ts"
import { type PodState, randomId } from "../PodState.ts"
import { sampleOf } from "../sampleJson.ts"
import { readSampling, samplingRules } from "../sampling.ts"
import { type StreamShape, tokenStream } from "../TokenStream.ts"
import { type TokenUsage, usageOf } from "../usage.ts"
import { VllmError } from "../VllmError.ts"

const countRules: ReadonlyArray<FieldRule> = [
  { name: "model", kind: "string", required: true },
  { name: "messages", kind: "list", required: true },
  { name: "tools", kind: "list" }
]
const messageRules: ReadonlyArray<FieldRule> = [
  ...countRules,
  { name: "max_tokens", kind: "integer", required: true },
  ...samplingRules.filter((rule) => rule.name !== "max_tokens")
]

/** `POST /v1/messages/count_tokens` */
export const countTokens = async (pod: PodState, request: Request): Promise<Response> => {
  const body = await readFields(request, countRules)
  return anthropicErrors(async () => countAnswer(pod, body))
}

const countAnswer = (pod: PodState, body: Fields): Response => {
  pod.modelOf(stringOf(body, "model"))
  const count = messageTokens(pod, body).length
  return jsonAnswer({ input_tokens: count, context_management: { original_input_tokens: count } })
}

/** `POST /v1/messages` (Anthropic) */
export const messages = async (pod: PodState, request: Request): Promise<Response> => {
  const body = await readFields(request, messageRules)
  return anthropicErrors(() => messageAnswer(pod, request, body))
}

/** A body without the right fields gets FastAPI's error before; all later errors are spelled as Anthropic does. */
const anthropicErrors = async (answer: () => Promise<Response>): Promise<Response> => {
  try {
    return await answer()
  } catch (error) {
    if (!(error instanceof VllmError)) throw error
    return jsonAnswer({ type: "error", error: { type: error.type, message: error.message } }, error.status)
  }
}

const messageAnswer = async (pod: PodState, request: Request, body: Fields): Promise<Response> => {
  const model = pod.modelOf(stringOf(body, "model"))
  const tokens = messageTokens(pod, body)
  const sampling = readSampling(body, tokens.length, pod.served.maxModelLen, ["max_tokens"])
  const tool = forcedTool(body)
  const fixed = tool === undefined
    ? undefined
    : { text: JSON.stringify(sampleOf(tool["input_schema"]) ?? {}), finishReason: "tool_calls" as const }
  const id = `chatcmpl-${requestIdOf(request, randomId())}`
  const generations = startAnswers(pod, promptOf(model, tokens, body), sampling, request.signal, fixed)
  const generation = generations[0]!
  if (sampling.stream) {
    const shape = messageStreamShape(pod, id, model, generation, tool)
    return streamAnswer(tokenStream(pod.driver, generations, shape, false))
  }
  return wholeAnswer([generation], () => {
    const text = generation.plan.text()
    return jsonAnswer({
      id,
      type: "message",
      role: "assistant",
      content: [tool === undefined ? { type: "text", text } : { ...toolUse(tool), input: parsedInput(text) }],
      model,
      stop_reason: stopReason(generation),
      ...stopSequence(generation),
      usage: messageUsage(usageOf(pod, [generations]))
    })
  })
}

/** The system prompt is the first message, as vLLM converts it. */
const messageTokens = (pod: PodState, body: Fields): ReadonlyArray<number> => {
  const system = body["system"]
  const turns = listOf(body, "messages")
  const all = system === undefined || system === null ? turns : [{ role: "system", content: system }, ...turns]
  return chatTokens(pod.tokenizer, all, listOf(body, "tools"), pod.served.model)
}

const forcedTool = (body: Fields): Fields | undefined => {
  const choice = body["tool_choice"]
  const tools = listOf(body, "tools").filter(isFields)
  if (!isFields(choice)) return undefined
  if (choice["type"] === "any") return tools[0]
  return choice["type"] === "tool" ? tools.find((tool) => tool["name"] === choice["name"]) : undefined
}

const toolUse = (tool: Fields) => ({ type: "tool_use", id: `chatcmpl-tool-${randomId()}`, name: String(tool["name"]) })

/** Arguments cut by `max_tokens` are no JSON; then the input is empty. */
const parsedInput = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}

const stopReason = ({ plan }: Generation): string => {
  if (plan.finishReason === "length") return "max_tokens"
  if (plan.finishReason === "tool_calls") return "tool_use"
  return plan.stopReason === null ? "end_turn" : "stop_sequence"
}

const stopSequence = ({ plan }: Generation) => plan.stopReason === null ? {} : { stop_sequence: plan.stopReason }

/** Anthropic counts tokens read from the cache and tokens written to it apart from the others. */
const messageUsage = (usage: TokenUsage) => ({
  input_tokens: usage.promptTokens - usage.cachedTokens - usage.createdTokens,
  output_tokens: usage.outputTokens,
  cache_creation_input_tokens: usage.createdTokens,
  cache_read_input_tokens: usage.cachedTokens
})

const messageStreamShape = (
  pod: PodState,
  id: string,
  model: string,
  generation: Generation,
  tool: Fields | undefined
): StreamShape => {
  const deltaStart = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":" +
    (tool === undefined ? "\"text_delta\",\"text\":\"" : "\"input_json_delta\",\"partial_json\":\"")
  const block = tool === undefined ? { type: "text", text: "" } : { ...toolUse(tool), input: {} }
  return {
    head: () => {
      const message = {
        id,
        type: "message",
        role: "assistant",
        content: [],
        model,
        stop_reason: null,
        stop_sequence: null,
        usage: { input_tokens: generation.request.promptTokens, output_tokens: 0 }
      }
      const started = { type: "content_block_start", content_block: block, index: 0 }
      return namedEvent("message_start", JSON.stringify({ type: "message_start", message })) +
        namedEvent("content_block_start", JSON.stringify(started))
    },
    tokens: (_choice, from, to) => {
      let text = ""
      for (let index = from; index < to; index++) {
        const piece = generation.plan.piece(index)
        if (piece !== "") text += `${deltaStart}${jsonInner(piece)}"},"index":0}\n\n`
      }
      return text
    },
    tail: () => {
      const delta = { stop_reason: stopReason(generation), stop_sequence: generation.plan.stopReason }
      const usage = messageUsage(usageOf(pod, [[generation]]))
      return namedEvent("content_block_stop", "{\"type\":\"content_block_stop\",\"index\":0}") +
        namedEvent("message_delta", JSON.stringify({ type: "message_delta", delta, usage })) +
        namedEvent("message_stop", "{\"type\":\"message_stop\"}")
    }
  }
}
