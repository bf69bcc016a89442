import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { AnswerRenamer } from "../../src/http/AnswerRenamer.ts"
import { AnswerTail } from "../../src/http/AnswerTail.ts"
import { ContinuedAnswer } from "../../src/http/rescue/ContinuedAnswer.ts"
import { RescueBytes } from "../../src/http/rescue/RescueBytes.ts"
import type { StreamTerms } from "../../src/http/rescue/StreamTerms.ts"
import { TokenEvents } from "../../src/http/rescue/TokenEvents.ts"
import { TokenTrail } from "../../src/http/rescue/TokenTrail.ts"
import { recordedExchanges } from "../lib/recordedPod.ts"
import { cutsArb, graftedJson, hostileBytes, pieces, plan, propertyTimeoutMs } from "./fuzz.ts"

const head = "\"id\":\"x-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"tiny\""
const rest = "\"logprobs\":null,\"finish_reason\":null,\"token_ids\""
const chat = [
  `data: {${head},"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":[1,2,3]}`,
  `data: {${head},"choices":[{"index":0,"delta":{"content":"a"},${rest}:[7]}]}`,
  `data: {${head},"choices":[{"index":0,"delta":{"content":"b"},${rest}:[8,9]}]}`,
  `data: {${head},"choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"stop","token_ids":[5]}]}`,
  `data: {${head},"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}`,
  "data: [DONE]",
  ""
].join("\n\n")
const streams = recordedExchanges().flatMap(({ name, response }) =>
  /stream/.test(name) ? [response.body.subarray(0, 1_500)] : []
)
const samples = [new Uint8Array(Buffer.from(chat)), new Uint8Array(Buffer.from(chat)), ...streams]
const words = [
  "\n\n",
  "\n",
  "\r\n\r\n",
  "data: ",
  "data: {\"error\":{}}\n\n",
  ": comment\n\n",
  "event: x\n",
  "data: [DONE]\n\n",
  "\"token_ids\":[1,2]",
  "\"token_ids\":[",
  "\"prompt_token_ids\":[",
  "\"model\":\"tiny\"",
  "\"usage\":{\"prompt_tokens\":9999999999999",
  "\"finish_reason\":\"abort\"",
  "{",
  "}",
  "]",
  "\ufffd"
]
const hostile = hostileBytes(samples, words)

const joined = (all: ReadonlyArray<Uint8Array | undefined>): string =>
  Buffer.concat(all.flatMap((part) => part === undefined ? [] : [Buffer.from(part)])).toString("latin1")

describe("events of a pod that may be none", () => {
  test("pass on as at most what came, and give their memory back", () => {
    const kinds = fc.constantFrom("chat" as const, "completions" as const)
    fc.assert(
      fc.property(hostile, cutsArb, kinds, fc.boolean(), (bytes, cuts, kind, shows) => {
        const room = new RescueBytes(() => 4_096)
        const trail = new TokenTrail(room, 2_048)
        const events = new TokenEvents(kind, shows, trail)
        const out = joined([...pieces(bytes, cuts).map((piece) => Buffer.from(events.push(piece))), events.rest()])
        // An empty list of ids is shorter than the null in its place.
        expect(out.length).toBeLessThanOrEqual(bytes.length + 4 * bytes.length)
        if (shows && events.surrender === undefined && kind === "completions") {
          expect(out.length).toBeLessThanOrEqual(bytes.length)
        }
        expect(trail.ids()).toMatch(/^[\d,]*$/)
        expect(room.heldBytes).toBeLessThanOrEqual(4_096)
        trail.release()
        expect(room.heldBytes).toBe(0)
      }),
      plan("events", 0.35)
    )
  }, propertyTimeoutMs)

  test("keep every byte but the name of the model, however they are cut", () => {
    fc.assert(
      fc.property(hostile, cutsArb, (bytes, cuts) => {
        const renamed = (all: ReadonlyArray<Uint8Array>): string => {
          const renamer = new AnswerRenamer("tiny", "my \"own\"")
          return joined([...all.map((piece) => renamer.push(piece)), renamer.end()])
        }
        const text = Buffer.from(bytes).toString("latin1")
        expect(renamed(pieces(bytes, cuts))).toBe(
          text.replaceAll(/"model":( {0,4})"tiny"/g, "\"model\":\"my \\\"own\\\"\"")
        )
      }),
      plan("events", 0.25)
    )
  }, propertyTimeoutMs)

  test("tell counts of tokens that are counts, or none", () => {
    fc.assert(
      fc.property(hostile, cutsArb, (bytes, cuts) => {
        const tail = new AnswerTail()
        for (const piece of pieces(bytes, cuts)) tail.add(piece)
        const { cachedTokens = 0, outputTokens = 0, promptTokens = 0 } = tail.usage() ?? {}
        for (const count of [cachedTokens, outputTokens, promptTokens]) {
          expect(Number.isSafeInteger(count) && count >= 0).toBe(true)
        }
      }),
      plan("events", 0.15)
    )
  }, propertyTimeoutMs)
})

const terms: StreamTerms = {
  kind: "chat",
  parameters: "\"model\":\"tiny\"",
  outputTokensMax: undefined,
  outputTokensMin: 0,
  includeUsage: true,
  continuousUsage: true,
  showsTokenIds: true
}
const completion = {
  id: "y",
  choices: [{ text: "a", finish_reason: null, stop_reason: null, token_ids: [1, 2] }],
  usage: { completion_tokens: 3, prompt_tokens_details: { cached_tokens: 2 } },
  system_fingerprint: "f"
}

describe("a continuation by another pod that may be none", () => {
  const first = `{${head}}`
  const continued = (): ContinuedAnswer => {
    const trail = new TokenTrail(new RescueBytes(() => 65_536), 65_536)
    trail.start(Buffer.from("1,2,3"))
    return new ContinuedAnswer(terms, trail, first)
  }
  /** Whole events, each with the head of the first one, or the end mark. */
  const expectEvents = (text: string): void => {
    const events = text.split("\n\n")
    expect(events.pop()).toBe("")
    for (const event of events) {
      if (event === "data: [DONE]") continue
      expect(event.startsWith("data: {\"id\":\"x-1\"")).toBe(true)
      JSON.parse(event.slice("data: ".length))
    }
  }

  test("reaches the client as whole events of the answer it reads, or not at all", () => {
    fc.assert(
      fc.property(hostile, cutsArb, (bytes, cuts) => {
        const answer = continued()
        expectEvents(joined(pieces(bytes, cuts).map((piece) => answer.push(piece))))
        expectEvents(joined([answer.closing(false)]))
      }),
      plan("events", 0.1)
    )
  }, propertyTimeoutMs)

  test("may have any value in any place", () => {
    const json = graftedJson([completion], ["choices", "usage", "error", "text", "token_ids", "finish_reason"])
    fc.assert(
      fc.property(fc.array(json, { maxLength: 3 }), (events) => {
        const answer = continued()
        expectEvents(joined([answer.push(Buffer.from(events.map((event) => `data: ${event}\n\n`).join("")))]))
        expectEvents(joined([answer.closing(false)]))
      }),
      plan("events", 0.15)
    )
  }, propertyTimeoutMs)
})
