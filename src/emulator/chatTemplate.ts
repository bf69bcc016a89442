import { type Fields, isFields } from "./bodyFields.ts"
import { specialTokens, type Tokenizer } from "./Tokenizer.ts"
import { badRequest } from "./VllmError.ts"

/**
 * Tokens of a conversation, up to where the assistant's next turn begins.
 * The prompt of a later turn starts with the tokens of this one and of the answer given to it, so KV blocks are reused.
 * Throws VllmError for an empty conversation and for parts that are not text.
 */
export const chatTokens = (
  tokenizer: Tokenizer,
  messages: ReadonlyArray<unknown>,
  tools: ReadonlyArray<unknown>,
  model: string
): Array<number> => {
  if (messages.length === 0) {
    throw badRequest("Cannot apply chat template to an empty conversation. Provide at least one message.")
  }
  const tokens: Array<number> = [specialTokens.begin]
  if (tools.length > 0) {
    tokens.push(specialTokens.tools)
    tokenizer.encode(JSON.stringify(tools), tokens)
    tokens.push(specialTokens.endOfTurn)
  }
  for (const message of messages) {
    if (!isFields(message)) continue
    appendHeader(tokenizer, String(message["role"] ?? ""), tokens)
    for (const text of textsOf(message, model)) tokenizer.encode(text, tokens)
    tokens.push(specialTokens.endOfTurn)
  }
  appendHeader(tokenizer, "assistant", tokens)
  return tokens
}

const appendHeader = (tokenizer: Tokenizer, role: string, tokens: Array<number>): void => {
  tokens.push(specialTokens.startHeader)
  tokenizer.encode(role, tokens)
  tokens.push(specialTokens.endHeader)
}

const textsOf = (message: Fields, model: string): ReadonlyArray<string> => {
  const texts = contentTexts(message["content"], model)
  const calls = message["tool_calls"]
  return Array.isArray(calls) && calls.length > 0 ? [...texts, JSON.stringify(calls)] : texts
}

/** Texts of a message's content: a string, or OpenAI's and Anthropic's lists of parts. */
const contentTexts = (content: unknown, model: string): ReadonlyArray<string> => {
  if (typeof content === "string") return [content]
  if (!Array.isArray(content)) return []
  return content.flatMap((part: unknown) => {
    if (typeof part === "string") return [part]
    if (!isFields(part)) return []
    const type = String(part["type"] ?? "text")
    if (/image|audio|video|file/.test(type)) throw badRequest(`${model} is not a multimodal model`)
    if (typeof part["text"] === "string") return [part["text"]]
    if (type === "tool_result") return contentTexts(part["content"], model)
    return [JSON.stringify(part)]
  })
}
