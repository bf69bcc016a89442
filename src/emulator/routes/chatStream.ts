import type { Generation } from "../Generation.ts"
import { dataEvent, jsonInner, systemFingerprint } from "../wireAnswers.ts"
import { chatLogprobs } from "../logprobs.ts"
import { type PodState, randomId } from "../PodState.ts"
import type { StreamShape } from "../TokenStream.ts"
import { continuousUsageJson, streamUsageFields, usageOf } from "../usage.ts"

/** What a chat answer needs of its request. */
export interface ChatCall {
  readonly id: string
  readonly created: number
  readonly model: string
  readonly promptTokens: ReadonlyArray<number>
  readonly topLogprobs: number | undefined
  readonly returnTokenIds: boolean
  readonly includeUsage: boolean
  readonly continuousUsage: boolean
  /** Name of the function that `tool_choice` forces. */
  readonly toolName: string | undefined
}

/**
 * Chunks of a streamed chat answer, byte for byte as vLLM orders their fields.
 * Built by joining prepared text: this runs for every token of every stream.
 */
export const chatStreamShape = (
  pod: PodState,
  call: ChatCall,
  generations: ReadonlyArray<Generation>
): StreamShape => {
  const start = `{"id":${JSON.stringify(call.id)},"object":"chat.completion.chunk","created":${call.created},` +
    `"model":${JSON.stringify(call.model)},"choices":[`
  const opening = call.toolName === undefined
    ? (text: string) => `"delta":{"content":"${text}"}`
    : (text: string) => `"delta":{"tool_calls":[{"index":0,"function":{"arguments":"${text}"}}]}`
  const usage = (outputTokens: number): string =>
    call.continuousUsage ? `,"usage":${continuousUsageJson(call.promptTokens.length, outputTokens)}` : ""
  const plainEnd = `,"logprobs":null,"finish_reason":null,"token_ids":null}]`
  const isPlain = pod.driver.streamInterval === 1 && call.topLogprobs === undefined && !call.returnTokenIds &&
    !call.continuousUsage

  const { streamInterval } = pod.driver

  const chunk = (choice: number, generation: Generation, from: number, to: number): string => {
    const { plan } = generation
    const isLast = to === plan.tokenCount
    const text = jsonInner(plan.text(from, to))
    const logprobs = call.topLogprobs === undefined
      ? "null"
      : JSON.stringify(chatLogprobs(pod, generation, from, to, call.topLogprobs))
    const ids = call.returnTokenIds ? `[${plan.tokens.slice(from, to).join(",")}]` : "null"
    const finish = isLast
      ? `"${plan.finishReason}","stop_reason":${JSON.stringify(plan.stopReason)}`
      : "null"
    const fingerprint = isLast && !call.includeUsage ? `,"system_fingerprint":"${systemFingerprint}"` : ""
    return dataEvent(
      `${start}{"index":${choice},${opening(text)},"logprobs":${logprobs},"finish_reason":${finish},` +
        `"token_ids":${ids}}]${usage(to)}${fingerprint}}`
    )
  }

  return {
    head: () => {
      const ids = call.returnTokenIds ? JSON.stringify(call.promptTokens) : "null"
      let text = ""
      for (const choice of generations.keys()) {
        text += dataEvent(
          `${start}{"index":${choice},"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]` +
            `${usage(0)},"prompt_token_ids":${ids},"prompt_text":null}`
        )
        if (call.toolName !== undefined) text += toolHead(start, choice, call.toolName, plainEnd)
      }
      return text
    },
    tokens: (choice, from, to) => {
      const generation = generations[choice]!
      const { plan } = generation
      const plainUntil = isPlain ? Math.min(to, plan.tokenCount - 1) : from
      const before = `data: ${start}{"index":${choice},`
      let text = ""
      let index = from
      for (; index < plainUntil; index++) text += `${before}${opening(jsonInner(plan.piece(index)))}${plainEnd}}\n\n`
      for (; index < to; index += streamInterval) {
        text += chunk(choice, generation, index, Math.min(to, index + streamInterval))
      }
      return text
    },
    tail: () => {
      if (!call.includeUsage) return "data: [DONE]\n\n"
      const counts = JSON.stringify(streamUsageFields(usageOf(pod, [generations]), true))
      return `${dataEvent(`${start}],"usage":${counts},"system_fingerprint":"${systemFingerprint}"}`)}data: [DONE]\n\n`
    }
  }
}

const toolHead = (start: string, choice: number, name: string, end: string): string =>
  dataEvent(
    `${start}{"index":${choice},"delta":{"tool_calls":[{"id":"chatcmpl-tool-${randomId()}","type":"function","index":0,` +
      `"function":{"name":${JSON.stringify(name)},"arguments":""}}]}${end}}`
  )
