import type { Generation } from "./Generation.ts"
import type { PodState } from "./PodState.ts"

/** What an emulated model thinks of every token: vLLM's dummy weights answer about this. */
const chosenLogprob = -0.25
const otherLogprob = -1.75

const bytesOf = (text: string): ReadonlyArray<number> => Array.from(new TextEncoder().encode(text))

/** The token itself and the runners-up, which the ring of prose supplies. */
const alternatives = (pod: PodState, chosen: string, count: number): ReadonlyArray<readonly [string, number]> =>
  [
    [chosen, chosenLogprob] as const,
    ...Array.from({ length: Math.max(0, count - 1) }, (_, index) =>
      [pod.lorem.pieces[index + 1]!, otherLogprob - index] as const)
  ].slice(0, Math.max(1, count))

/** `logprobs` of a chat choice for output tokens `from` up to `to`. */
export const chatLogprobs = (pod: PodState, generation: Generation, from: number, to: number, top: number) => ({
  content: Array.from({ length: to - from }, (_, offset) => {
    const token = generation.plan.piece(from + offset)
    return {
      token,
      logprob: chosenLogprob,
      bytes: bytesOf(token),
      top_logprobs: alternatives(pod, token, top).slice(0, top)
        .map(([text, logprob]) => ({ token: text, logprob, bytes: bytesOf(text) }))
    }
  })
})

/** `logprobs` of a completion choice; `echoed` are the prompt's tokens as text, the first of them unconditioned. */
export const completionLogprobs = (
  pod: PodState,
  generation: Generation,
  from: number,
  to: number,
  top: number,
  echoed: ReadonlyArray<string>
) => {
  const said = Array.from({ length: to - from }, (_, offset) => generation.plan.piece(from + offset))
  const tokens = [...echoed, ...said]
  let offset = generation.plan.text(0, from).length
  const text_offset = tokens.map((token) => {
    const start = offset
    offset += token.length
    return start
  })
  const isFirst = (index: number) => echoed.length > 0 && index === 0
  return {
    text_offset,
    token_logprobs: tokens.map((_, index) => isFirst(index) ? null : chosenLogprob),
    tokens,
    top_logprobs: tokens.map((token, index) =>
      isFirst(index) ? null : Object.fromEntries(alternatives(pod, token, top))
    )
  }
}
