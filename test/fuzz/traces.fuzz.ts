import { describe, expect, test } from "bun:test"
import { Either, FastCheck as fc } from "effect"
import { readFileSync } from "node:fs"
import { readTrace, traceFormats } from "../../src/simulator/traces/formats.ts"
import { graftedJson, hostileText, inheritedNames, plan, propertyTimeoutMs } from "./fuzz.ts"

const fixture = (name: string): string =>
  readFileSync(new URL(`../fixtures/traces/${name}`, import.meta.url), "utf8").split("\n").slice(0, 3).join("\n").slice(
    0,
    1_200
  )

const decision = {
  arrivedMs: 1_700_000_000_000,
  requestId: "a",
  outcome: "finished",
  sampleRate: 1,
  waitMs: 1,
  promptTokens: 64,
  podPromptTokens: 60,
  observedTtftMs: 12,
  totalMs: 100,
  policy: "marginal-cost",
  pod: "10.0.0.7:8000",
  model: "m",
  hitTokens: 16,
  outputTokens: 7,
  session: 9,
  blocks: Buffer.from(Uint32Array.of(1, 2, 3).buffer).toString("base64"),
  blockTokens: 16
}
const session = { block_size: 16, requests: [{ in: 32, out: 4, hash_ids: [1, 2], think_time: 3 }] }
const request = { timestamp: 5, input_length: 700, output_length: 9, hash_ids: [0, 1] }

const samples: Readonly<Record<string, ReadonlyArray<unknown>>> = {
  mooncake: [request],
  bailian: [request],
  "claude-code": [session],
  decisions: [decision]
}
const words = [
  "\n",
  ",",
  "{",
  "}",
  "[",
  "]",
  "\"",
  "null",
  "-1",
  "1e400",
  "1e15",
  "NaN",
  "2026-11-22 10:00:00.1",
  ...inheritedNames
]

const names = Object.keys({ ...decision, ...session, ...request })

/** The first requests of the workload, if the text is a trace. */
const playsOrTellsWhy = (format: string, text: string): void => {
  const read = readTrace(format, text)
  if (Either.isLeft(read)) return expect(read.left).toMatch(/^line \d+: /)
  const workload = read.right({ load: 1, seed: 1, durationS: 10 })
  const arrivals = workload.stages[0]?.().arrivals
  for (let i = 0; i < 3; i++) {
    const next = arrivals?.next()
    if (next === undefined || next.done === true) return
    const { afterS, output, prompt } = next.value
    expect(Number.isFinite(afterS) && afterS >= 0).toBe(true)
    expect(output.tokens).toBeGreaterThanOrEqual(1)
    expect(prompt.every(({ id, tokens }) => Number.isFinite(id) && tokens >= 0 && Number.isFinite(tokens))).toBe(true)
  }
}

describe("a trace that may be none", () => {
  test("of JSON lines with strange members is played or its line is named", () => {
    const line = fc.oneof(
      ...Object.entries(samples).map(([format, requests]) =>
        fc.tuple(fc.constant(format), fc.array(graftedJson(requests, names), { minLength: 1, maxLength: 2 }))
      )
    )
    fc.assert(
      fc.property(line, ([format, lines]) => playsOrTellsWhy(format, lines.join("\n"))),
      plan("traces", 0.6)
    )
  }, propertyTimeoutMs)

  test("of any bytes is played or its line is named", () => {
    const texts = [
      fixture("azure.csv"),
      fixture("claude-code.jsonl"),
      fixture("mooncake.jsonl"),
      JSON.stringify(decision)
    ]
    fc.assert(
      fc.property(fc.constantFrom(...traceFormats.keys()), hostileText(texts, words), playsOrTellsWhy),
      plan("traces", 0.4)
    )
  }, propertyTimeoutMs)
})
