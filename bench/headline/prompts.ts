import type { Segment } from "../../src/simulator/promptChain.ts"

/** Of the emulated pods' tokenizer. */
const CHARS_PER_TOKEN = 4
const LETTERS = "abcdefghijklmnopqrstuvwxyz     "

/** Text of a segment, the same for the same id. */
const textOf = ({ id, tokens }: Segment): string => {
  let state = (id + 1) * 2_654_435_761 >>> 0
  let text = ""
  for (let i = 0; i < tokens * CHARS_PER_TOKEN; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    text += LETTERS[state >>> 27] ?? "z"
  }
  return text
}

/** Bodies of `/v1/completions` as the published benchmark sends them, each prompt's made once. */
export class Prompts {
  private readonly model: string
  private readonly texts = new Map<number, string>()
  private readonly bodies = new Map<string, Uint8Array>()

  constructor(model: string) {
    this.model = model
  }

  body(prompt: ReadonlyArray<Segment>, outputTokens: number): Uint8Array {
    const key = `${prompt.map(({ id }) => id).join(" ")} ${outputTokens}`
    const known = this.bodies.get(key)
    if (known !== undefined) return known
    const body = new TextEncoder().encode(JSON.stringify({
      model: this.model,
      prompt: prompt.map((segment) => this.text(segment)).join(""),
      max_tokens: outputTokens,
      ignore_eos: true,
      stream: true,
      stream_options: { include_usage: true }
    }))
    this.bodies.set(key, body)
    return body
  }

  private text(segment: Segment): string {
    const known = this.texts.get(segment.id)
    if (known !== undefined) return known
    const text = textOf(segment)
    this.texts.set(segment.id, text)
    return text
  }
}
