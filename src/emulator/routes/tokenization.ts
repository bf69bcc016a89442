import { booleanOf, type FieldRule, listOf, readFields, stringOf } from "../bodyFields.ts"
import { chatTokens } from "../chatTemplate.ts"
import { jsonAnswer } from "../wireAnswers.ts"
import type { PodState } from "../PodState.ts"
import { specialTokens } from "../Tokenizer.ts"

const tokenizeRules: ReadonlyArray<FieldRule> = [
  { name: "model", kind: "string" },
  { name: "prompt", kind: "string" },
  { name: "messages", kind: "list" }
]
const detokenizeRules: ReadonlyArray<FieldRule> = [
  { name: "model", kind: "string" },
  { name: "tokens", kind: "list", required: true }
]

/** `POST /tokenize`: of a prompt, or of messages under the chat template. */
export const tokenize = async (pod: PodState, request: Request): Promise<Response> => {
  const body = await readFields(request, tokenizeRules)
  pod.modelOf(stringOf(body, "model"))
  const prompt = stringOf(body, "prompt")
  const begin = body["add_special_tokens"] === false ? [] : [specialTokens.begin]
  const tokens = prompt === undefined
    ? chatTokens(pod.tokenizer, listOf(body, "messages"), listOf(body, "tools"), pod.served.model)
    : pod.tokenizer.encode(prompt, begin)
  return jsonAnswer({
    count: tokens.length,
    max_model_len: pod.served.maxModelLen,
    tokens,
    token_strs: booleanOf(body, "return_token_strs") ? tokens.map((token) => pod.tokenizer.tokenText(token)) : null
  })
}

/** `POST /detokenize` */
export const detokenize = async (pod: PodState, request: Request): Promise<Response> => {
  const body = await readFields(request, detokenizeRules)
  pod.modelOf(stringOf(body, "model"))
  return jsonAnswer({ prompt: pod.tokenizer.decode(listOf(body, "tokens").map(Number)) })
}
