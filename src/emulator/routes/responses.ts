import { promptOf, startAnswers } from "../answer.ts"
import {
  type FieldRule,
  type Fields,
  isFields,
  listOf,
  numberOf,
  pythonFloat,
  readFields,
  stringOf
} from "../bodyFields.ts"
import { chatTokens } from "../chatTemplate.ts"
import type { Generation } from "../Generation.ts"
import { jsonInner, jsonText, namedEvent, requestIdOf, streamAnswer, wholeAnswer } from "../wireAnswers.ts"
import { type PodState, randomId } from "../PodState.ts"
import { readSampling, samplingRules } from "../sampling.ts"
import { type StreamShape, tokenStream } from "../TokenStream.ts"
import { usageOf } from "../usage.ts"

const responseRules: ReadonlyArray<FieldRule> = [
  { name: "input", kind: "text or list", required: true },
  { name: "model", kind: "string" },
  { name: "instructions", kind: "string" },
  { name: "max_output_tokens", kind: "integer" },
  { name: "tools", kind: "list" },
  ...samplingRules
]

interface ResponseCall {
  readonly id: string
  readonly messageId: string
  readonly created: number
  readonly model: string
  readonly body: Fields
  readonly outputTokensMax: number
}

/** `POST /v1/responses`: text in, text out; nothing is stored, so `previous_response_id` is not followed. */
export const responses = async (pod: PodState, request: Request): Promise<Response> => {
  const body = await readFields(request, responseRules)
  const model = pod.modelOf(stringOf(body, "model"))
  const tokens = chatTokens(pod.tokenizer, inputMessages(body), listOf(body, "tools"), pod.served.model)
  const sampling = readSampling(body, tokens.length, pod.served.maxModelLen, ["max_output_tokens"])
  const call: ResponseCall = {
    id: `resp_${requestIdOf(request, randomId())}`,
    messageId: `msg_${randomId()}`,
    created: Math.floor(Date.now() / 1000),
    model,
    body,
    outputTokensMax: sampling.limits.outputTokensMax
  }
  const generations = startAnswers(pod, promptOf(model, tokens, body), { ...sampling, choices: 1 }, request.signal)
  const generation = generations[0]!
  if (sampling.stream) {
    return streamAnswer(tokenStream(pod.driver, generations, responseStreamShape(pod, call, generation), true))
  }
  return wholeAnswer([generation], () => jsonText(responseJson(pod, call, generation)))
}

const inputMessages = (body: Fields): ReadonlyArray<unknown> => {
  const input = body["input"]
  const turns = typeof input === "string" ? [{ role: "user", content: input }] : listOf(body, "input").filter(isFields)
  const instructions = stringOf(body, "instructions")
  return instructions === undefined ? turns : [{ role: "system", content: instructions }, ...turns]
}

const messageItem = (call: ResponseCall, text: string) => ({
  id: call.messageId,
  content: [{ annotations: [], text, type: "output_text", logprobs: null }],
  role: "assistant",
  status: "completed",
  type: "message",
  phase: null
})

/** The response object, written by hand because Python prints whole floats as `1.0`. */
const responseJson = (pod: PodState, call: ResponseCall, ended: Generation | undefined): string => {
  const { body } = call
  const isCut = ended?.plan.finishReason === "length"
  const status = ended === undefined ? "in_progress" : isCut ? "incomplete" : "completed"
  const json = (value: unknown): string => JSON.stringify(value ?? null)
  const float = (name: string, fallback: number): string => pythonFloat(numberOf(body, name) ?? fallback)
  return `{"id":${json(call.id)},"created_at":${call.created},` +
    `"incomplete_details":${isCut ? "{\"reason\":\"max_output_tokens\"}" : "null"},` +
    `"instructions":${json(body["instructions"])},"metadata":${json(body["metadata"])},"model":${json(call.model)},` +
    `"object":"response","output":${ended === undefined ? "[]" : json([messageItem(call, ended.plan.text())])},` +
    `"parallel_tool_calls":true,"temperature":${float("temperature", 1)},` +
    `"tool_choice":${json(body["tool_choice"] ?? (listOf(body, "tools").length > 0 ? "auto" : "none"))},` +
    `"tools":${json(listOf(body, "tools"))},"top_p":${float("top_p", 1)},"background":false,` +
    `"max_output_tokens":${call.outputTokensMax},"max_tool_calls":null,"previous_response_id":null,"prompt":null,` +
    `"reasoning":${json(body["reasoning"])},"service_tier":"auto","status":"${status}","text":${json(body["text"])},` +
    `"top_logprobs":null,"truncation":"disabled","usage":${ended === undefined ? "null" : usageJson(pod, ended)},` +
    `"user":${json(body["user"])},"presence_penalty":${float("presence_penalty", 0)},` +
    `"frequency_penalty":${float("frequency_penalty", 0)},"kv_transfer_params":null,"ec_transfer_params":null,` +
    "\"input_messages\":null,\"output_messages\":null}"
}

const usageJson = (pod: PodState, generation: Generation): string => {
  const usage = usageOf(pod, [[generation]])
  return JSON.stringify({
    input_tokens: usage.promptTokens,
    input_tokens_details: {
      cached_tokens: usage.cachedTokens,
      cache_write_tokens: usage.createdTokens,
      input_tokens_per_turn: [],
      cached_tokens_per_turn: []
    },
    output_tokens: usage.outputTokens,
    output_tokens_details: {
      reasoning_tokens: 0,
      tool_output_tokens: 0,
      output_tokens_per_turn: [],
      tool_output_tokens_per_turn: []
    },
    total_tokens: usage.promptTokens + usage.outputTokens
  })
}

const responseStreamShape = (pod: PodState, call: ResponseCall, generation: Generation): StreamShape => {
  let sequence = 0
  const item = JSON.stringify(call.messageId)
  const event = (name: string, fields: string): string =>
    namedEvent(`response.${name}`, `{${fields},"sequence_number":${sequence++},"type":"response.${name}"}`)
  /** For events whose remaining field sorts between these two. */
  const contentEvent = (name: string, middle: string, end: string): string =>
    namedEvent(
      `response.${name}`,
      `{"content_index":0,${middle}"output_index":0,${end.replace("#", String(sequence++))}"type":"response.${name}"}`
    )
  const part = (text: string, logprobs: string): string =>
    `"part":{"annotations":[],"text":"${text}","type":"output_text","logprobs":${logprobs}},"sequence_number":#,`

  return {
    head: () => {
      const response = `"response":${responseJson(pod, call, undefined)}`
      return event("created", response) + event("in_progress", response) +
        event(
          "output_item.added",
          `"item":{"id":${item},"content":[],"role":"assistant","status":"in_progress","type":"message","phase":null},` +
            "\"output_index\":0"
        ) +
        contentEvent("content_part.added", `"item_id":${item},`, part("", "[]"))
    },
    tokens: (_choice, from, to) => {
      let text = ""
      for (let index = from; index < to; index++) {
        const delta = jsonInner(generation.plan.piece(index))
        const middle = `"delta":"${delta}","item_id":${item},"logprobs":[],`
        if (delta !== "") text += contentEvent("output_text.delta", middle, "\"sequence_number\":#,")
      }
      return text
    },
    tail: () => {
      const text = jsonInner(generation.plan.text())
      const middle = `"item_id":${item},`
      return contentEvent("output_text.done", `${middle}"logprobs":[],`, `"sequence_number":#,"text":"${text}",`) +
        contentEvent("content_part.done", middle, part(text, "null")) +
        event(
          "output_item.done",
          `"item":${JSON.stringify(messageItem(call, generation.plan.text()))},"output_index":0`
        ) +
        event("completed", `"response":${responseJson(pod, call, generation)}`)
    }
  }
}
