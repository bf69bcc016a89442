import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { readFileSync } from "node:fs"
import { AnswerTail } from "../../src/http/AnswerTail.ts"
import { ResponseParser } from "../../src/http/upstream/ResponseParser.ts"

const recorded = (name: string): Buffer => readFileSync(`${import.meta.dir}/../fixtures/vllm-http/${name}.res.raw`)

/** The usage found when the recorded answer comes in pieces of this size. */
const usageOf = (bytes: Uint8Array, pieceBytes: number) => {
  const tail = new AnswerTail()
  const parser = new ResponseParser({ headBytesMax: 65_536, headersMax: 100 }, {
    onHead: () => {},
    onData: (piece) => tail.add(piece)
  })
  parser.reset("POST")
  for (let at = 0; at < bytes.length; at += pieceBytes) parser.push(bytes.subarray(at, at + pieceBytes))
  return tail.usage()
}

describe("AnswerTail", () => {
  test.each([
    ["chat-basic", { promptTokens: 16, cachedTokens: 0, outputTokens: 8 }],
    ["chat-stream-usage", { promptTokens: 18, cachedTokens: 0, outputTokens: 8 }],
    ["messages-basic", { promptTokens: 16, cachedTokens: 0, outputTokens: 6 }],
    ["messages-stream", { promptTokens: 16, cachedTokens: 0, outputTokens: 4 }],
    ["responses-basic", { promptTokens: 17, cachedTokens: 0, outputTokens: 6 }],
    ["responses-stream", { promptTokens: 17, cachedTokens: 0, outputTokens: 4 }]
  ])("the usage of %s is found", (name, usage) => {
    expect(usageOf(recorded(name), 64 * 1024)).toEqual(usage)
    expect(usageOf(recorded(name), 1_000)).toEqual(usage)
  })

  test.each(["chat-stream", "models", "err-bad-json"])("%s has none", (name) => {
    expect(usageOf(recorded(name), 64 * 1024)).toBeUndefined()
  })

  test("Anthropic's cached tokens are a part of the prompt", () => {
    const tail = new AnswerTail()
    tail.add(
      Buffer.from(
        "{\"usage\":{\"input_tokens\":6,\"output_tokens\":3,\"cache_creation_input_tokens\":1,\"cache_read_input_tokens\":10}}"
      )
    )
    expect(tail.usage()).toEqual({ promptTokens: 17, cachedTokens: 10, outputTokens: 3 })
  })

  test("text that a model wrote is never taken for usage", () => {
    const tail = new AnswerTail()
    tail.add(Buffer.from(JSON.stringify({ content: "{\"usage\":{\"prompt_tokens\":5}}" })))
    expect(tail.usage()).toBeUndefined()
  })

  test("whatever the pieces, looking for usage does not throw", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), (pieces) => {
        const tail = new AnswerTail()
        for (const piece of pieces) tail.add(piece)
        expect(tail.usage()).toBeUndefined()
      })
    )
  })
})
