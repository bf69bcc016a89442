import type { PromptKind } from "../routes.ts"

export type JsonObject = Readonly<Record<string, unknown>>

/**
 * The text that stands for a request's prompt: equal prompts give equal texts, and a conversation that grows by a
 * message gives a text that the shorter one's is a prefix of. Tools and template arguments come first, since chat
 * templates render them before the messages. Control characters separate fields; a prompt that contains them can at
 * worst be taken for another one of the same client, which costs a wrong guess.
 * Throws RangeError when the body is nested too deeply.
 */
export const canonicalPrompt = (kind: PromptKind, body: JsonObject): string => {
  switch (kind) {
    case "chat":
      return preamble(body, body["tools"] ?? body["functions"]) + conversation(body["messages"])
    case "messages":
      return preamble(body, body["tools"]) + systemMessage(body["system"]) + conversation(body["messages"])
    case "responses":
      return preamble(body, body["tools"]) + systemMessage(body["instructions"]) + responsesInput(body["input"])
    case "completions":
      return texts(body["prompt"])
    case "texts":
      return inputs(body)
    default:
      return ""
  }
}

/** Token ids when the prompt came as such (nested lists are joined), else undefined. */
export const promptTokenIds = (kind: PromptKind, body: JsonObject): ReadonlyArray<number> | undefined => {
  const value = kind === "tokens" ? body["token_ids"] : kind === "completions" ? body["prompt"] : undefined
  if (!Array.isArray(value)) return undefined
  const flat: ReadonlyArray<unknown> = Array.isArray(value[0]) ? value.flat() : value
  return flat.length > 0 && flat.every((id) => typeof id === "number") ? (flat as ReadonlyArray<number>) : undefined
}

const fieldEnd = "\u0001"
const messageEnd = "\u0002"
const preambleEnd = "\u0003"
/** An image or clip weighs about this many bytes of text, so that a hit on it is priced like a hit on its tokens. */
const mediaBytes = 2_048

const preamble = (body: JsonObject, tools: unknown): string => {
  const template = body["chat_template"]
  const templateArguments = body["chat_template_kwargs"]
  if (tools === undefined && template === undefined && templateArguments === undefined) return ""
  return json(tools) + fieldEnd + json(template) + fieldEnd + json(templateArguments) + preambleEnd
}

const conversation = (messages: unknown): string => {
  if (!Array.isArray(messages)) return ""
  let text = ""
  for (const message of messages) text += messageText(message)
  return text
}

const systemMessage = (content: unknown): string =>
  content === undefined || content === null ? "" : messageText({ role: "system", content })

const responsesInput = (input: unknown): string =>
  typeof input === "string" ? messageText({ role: "user", content: input }) : conversation(input)

const messageText = (value: unknown): string => {
  if (!isObject(value)) return json(value) + messageEnd
  let text = string(value["role"]) + fieldEnd + content(value["content"])
  if (value["name"] !== undefined) text += `${fieldEnd}name ${string(value["name"])}`
  const reasoning = value["reasoning_content"] ?? value["reasoning"]
  if (typeof reasoning === "string") text += `${fieldEnd}reasoning ${reasoning}`
  if (value["tool_calls"] !== undefined) text += `${fieldEnd}calls ${json(value["tool_calls"])}`
  if (value["tool_call_id"] !== undefined) text += `${fieldEnd}answers ${string(value["tool_call_id"])}`
  // Items of the Responses API that are no messages: function calls and their results, reasoning.
  if (value["content"] === undefined && value["role"] === undefined) text += json(value)
  return text + messageEnd
}

const content = (value: unknown): string => {
  if (typeof value === "string") return value
  if (!Array.isArray(value)) return value === undefined || value === null ? "" : json(value)
  let text = ""
  for (const part of value) text += partText(part)
  return text
}

const partText = (part: unknown): string => {
  if (typeof part === "string") return part
  if (!isObject(part)) return json(part)
  const type = string(part["type"])
  if (typeof part["text"] === "string") return part["text"]
  if (type === "tool_use" || type === "tool_result" || type === "thinking" || type === "refusal") return json(part)
  return mediaText(type, part)
}

/** Image, audio and video parts by a hash of their URL or data, which can be megabytes. */
const mediaText = (type: string, part: JsonObject): string => {
  const mark = `${type} ${Bun.hash(mediaSource(part)).toString(36)} `
  return mark.repeat(Math.ceil(mediaBytes / mark.length))
}

/** The long text inside the part that is the medium itself, or a reference to it. */
const mediaSource = (part: JsonObject): string => {
  const holder = part["image_url"] ?? part["source"] ?? part["input_audio"] ?? part["video_url"] ?? part["audio_url"]
  if (typeof holder === "string") return holder
  if (!isObject(holder)) return json(part)
  const source = holder["url"] ?? holder["data"]
  return typeof source === "string" ? source : json(holder)
}

/** Prompt of a completion: one text or several. */
const texts = (value: unknown): string => {
  if (typeof value === "string") return value
  if (!Array.isArray(value)) return json(value)
  let text = ""
  for (const one of value) text += (typeof one === "string" ? one : json(one)) + messageEnd
  return text
}

/** Embeddings, rerank, score, classify and pooling name their inputs in many ways. */
const inputs = (body: JsonObject): string => {
  let text = ""
  for (const field of inputFields) if (body[field] !== undefined) text += texts(body[field]) + fieldEnd
  return text + conversation(body["messages"])
}

const inputFields = ["input", "query", "queries", "text_1", "text_2", "documents", "prompt", "texts", "inputs"]

const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const string = (value: unknown): string => (typeof value === "string" ? value : "")

/** Beyond this JSON.stringify may spend seconds to run out of stack, and no pod takes it either. */
const depthMax = 200

const json = (value: unknown): string => {
  if (value === undefined) return ""
  if (!isShallow(value, depthMax)) throw new RangeError("nested too deeply")
  return JSON.stringify(value)
}

const isShallow = (value: unknown, levels: number): boolean => {
  if (typeof value !== "object" || value === null) return true
  if (levels === 0) return false
  if (Array.isArray(value)) return value.every((item) => isShallow(item, levels - 1))
  for (const key in value) if (!isShallow((value as JsonObject)[key], levels - 1)) return false
  return true
}
