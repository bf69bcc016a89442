import { hardwarePresets } from "../../src/core/hardwarePresets.ts"

export const MODEL = "emulated"
const OUTPUT_TOKENS = 200
const CHARS_PER_TOKEN = 4
const PROMPT_TOKENS = { least: 300, most: 3000 }
/** Share of the requests that are in the high band. */
const HIGH_SHARE = 0.1
/** One flow sends this many times what each of the others does. */
export const HEAVY_TIMES = 10
export const LIGHT_FLOWS = ["light-1", "light-2", "light-3", "light-4"]

/** Who sends a request: `high`, which is a band, or a flow of the band below. */
export type Sender = string

export interface Arrival {
  /** In emulated seconds. */
  readonly afterS: number
  readonly sender: Sender
  readonly promptTokens: number
  /** Prefill seconds of the prompt on an idle pod. */
  readonly workS: number
  readonly body: Uint8Array
}

/** xorshift32, uniform in [0, 1). */
const randomOf = (seed: number) => {
  let state = seed >>> 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}

/** Prompts that nobody has seen, so that no gateway wins by its cache; sizes log-uniform, arrivals Poisson. */
export const arrivals = (ratePerS: number, forS: number, seed: number, onlyHigh = false): ReadonlyArray<Arrival> => {
  const random = randomOf(seed)
  const made: Array<Arrival> = []
  const { least, most } = PROMPT_TOKENS
  for (let atS = -Math.log(1 - random()) / ratePerS; atS < forS; atS -= Math.log(1 - random()) / ratePerS) {
    const promptTokens = Math.round(least * (most / least) ** random())
    const sender = onlyHigh || random() < HIGH_SHARE ? "high" : flowOf(random())
    made.push({ afterS: atS, sender, promptTokens, workS: workOf(promptTokens), body: bodyOf(promptTokens, random) })
  }
  return made
}

const flowOf = (uniform: number): Sender => {
  const place = Math.floor(uniform * (HEAVY_TIMES + LIGHT_FLOWS.length))
  return LIGHT_FLOWS[place - HEAVY_TIMES] ?? "heavy"
}

const workOf = (tokens: number): number => {
  const { attentionPairS, prefillTokenS } = hardwarePresets["qwen3-32b-2xh100"]!
  return tokens * (prefillTokenS + attentionPairS * tokens / 2)
}

const bodyOf = (promptTokens: number, random: () => number): Uint8Array => {
  const unique = `${random().toString(36)}${random().toString(36)} `
  const prompt = unique.repeat(Math.ceil(promptTokens * CHARS_PER_TOKEN / unique.length))
    .slice(0, promptTokens * CHARS_PER_TOKEN)
  return new TextEncoder().encode(JSON.stringify({
    model: MODEL,
    prompt,
    max_tokens: OUTPUT_TOKENS,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true }
  }))
}
