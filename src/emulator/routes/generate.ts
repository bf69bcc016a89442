import { promptOf, startAnswers } from "../answer.ts"
import { booleanOf, type FieldRule, isFields, listOf, readFields, stringOf } from "../bodyFields.ts"
import type { Generation } from "../Generation.ts"
import { dataEvent, jsonAnswer, requestIdOf, streamAnswer, wholeAnswer } from "../wireAnswers.ts"
import { type PodState, randomId } from "../PodState.ts"
import { readSampling } from "../sampling.ts"
import { type StreamShape, tokenStream } from "../TokenStream.ts"
import { usageFields, usageOf } from "../usage.ts"

const generateRules: ReadonlyArray<FieldRule> = [
  { name: "model", kind: "string" },
  { name: "token_ids", kind: "list", required: true },
  { name: "stream", kind: "boolean" }
]
/** vLLM's `max_tokens` of sampling parameters that set none. */
const outputTokensDefault = 16

/** `POST /inference/v1/generate`: token ids in, token ids out. */
export const generate = async (pod: PodState, request: Request): Promise<Response> => {
  const body = await readFields(request, generateRules)
  const model = pod.modelOf(stringOf(body, "model"))
  const tokens = listOf(body, "token_ids").map(Number)
  const parameters = isFields(body["sampling_params"]) ? body["sampling_params"] : {}
  const sampling = readSampling(parameters, tokens.length, pod.served.maxModelLen, ["max_tokens"], outputTokensDefault)
  const id = `generate-tokens-${requestIdOf(request, randomId())}`
  const generations = startAnswers(pod, promptOf(model, tokens, body), sampling, request.signal)
  if (booleanOf(body, "stream")) {
    return streamAnswer(tokenStream(pod.driver, generations, generateStreamShape(id, generations), false))
  }
  return wholeAnswer(generations, () =>
    jsonAnswer({
      request_id: id,
      model,
      created: Math.floor(Date.now() / 1000),
      usage: usageFields(usageOf(pod, [generations]), false),
      prompt_logprobs: null,
      prompt_token_id_logprobs: null,
      prompt_token_ids: null,
      mm_placeholders: null,
      metrics: null,
      kv_transfer_params: null,
      ec_transfer_params: null,
      output_mode: "tokens",
      choices: generations.map(({ plan }, index) => ({
        index,
        finish_reason: plan.finishReason,
        stop_reason: plan.stopReason,
        token_ids: plan.tokens,
        routed_experts: null,
        sampling_mask: null,
        weight_versions: [{ version: "default", start: 0, end: plan.tokenCount }],
        logprobs: null
      }))
    }))
}

const generateStreamShape = (id: string, generations: ReadonlyArray<Generation>): StreamShape => ({
  head: () => "",
  tokens: (choice, from, to) => {
    const { plan } = generations[choice]!
    let text = ""
    for (let index = from; index < to; index++) {
      const finish_reason = index === plan.tokenCount - 1 ? plan.finishReason : null
      const choices = [{ index: choice, token_ids: [plan.tokens[index]], finish_reason, logprobs: null }]
      text += dataEvent(JSON.stringify({ request_id: id, choices }))
    }
    return text
  },
  tail: () => "data: [DONE]\n\n"
})
