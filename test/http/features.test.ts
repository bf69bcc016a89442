import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import type { BlockChain } from "../../src/core/BlockChain.ts"
import { BadRequest } from "../../src/errors.ts"
import { BytesPerToken } from "../../src/http/features/BytesPerToken.ts"
import { withModel } from "../../src/http/features/jsonModel.ts"
import { FormScanner } from "../../src/http/features/FormScanner.ts"
import { boundaryOf, withField } from "../../src/http/features/multipart.ts"
import { FeatureWorkshop } from "../../src/http/features/PromptFeatures.ts"
import { readRequest } from "../../src/http/features/readRequest.ts"
import { frontDefaults } from "../../src/http/FrontOptions.ts"
import { proxyRoutes } from "../../src/http/routes.ts"

const workshop = new FeatureWorkshop(8)
const read = (path: string, body: unknown, headers: Record<string, string> = {}) => {
  const route = proxyRoutes.find((route) => route.path === path)
  if (route === undefined) throw new Error(path)
  const bytes = new TextEncoder().encode(JSON.stringify(body))
  return readRequest(route, new Headers(headers), bytes, frontDefaults, workshop).features
}
const chat = (body: Record<string, unknown>) => read("/v1/chat/completions", { model: "m", ...body })

const entries = (chain: BlockChain): Array<string> => Array.from(chain.low, (low, i) => `${low}:${chain.high[i]}`)
const isPrefix = (shorter: BlockChain, longer: BlockChain): boolean =>
  entries(shorter).every((entry, i) => entries(longer)[i] === entry)

const text = "the quick brown fox jumps over the lazy dog ".repeat(8)

describe("request features", () => {
  const partArb = fc.oneof(
    fc.record({ type: fc.constant("text"), text: fc.string({ maxLength: 60 }) }),
    fc.record({ type: fc.constant("image_url"), image_url: fc.record({ url: fc.string({ maxLength: 60 }) }) })
  )
  const messageArb = fc.record({
    role: fc.constantFrom("system", "user", "assistant", "tool"),
    content: fc.oneof(
      fc.string({ maxLength: 300 }),
      fc.fullUnicodeString({ maxLength: 80 }),
      fc.array(partArb, { maxLength: 3 })
    )
  })

  test("a conversation that grows extends the chain of the shorter one", () => {
    fc.assert(
      fc.property(
        fc.array(messageArb, { minLength: 1, maxLength: 8 }),
        fc.nat(),
        fc.boolean(),
        (messages, cut, tools) => {
          const extra = tools ? { tools: [{ type: "function", function: { name: "f" } }] } : {}
          const k = cut % messages.length
          const shorter = chat({ ...extra, messages: messages.slice(0, k) }).chain(4)
          expect(isPrefix(shorter, chat({ ...extra, messages }).chain(4))).toBe(true)
        }
      )
    )
  })

  test("the same holds for Anthropic's messages and for responses", () => {
    const messages = [{ role: "user", content: text }, { role: "assistant", content: "yes" }, {
      role: "user",
      content: text
    }]
    for (
      const [path, system, field] of [["/v1/messages", "system", "messages"], [
        "/v1/responses",
        "instructions",
        "input"
      ]] as const
    ) {
      const shorter = read(path, { model: "m", [system]: text, [field]: messages.slice(0, 1) }).chain(4)
      const longer = read(path, { model: "m", [system]: text, [field]: messages }).chain(4)
      expect([shorter.length > 30, isPrefix(shorter, longer)]).toEqual([true, true])
    }
  })

  test("tools, template arguments, model and salt each make another prompt from the first block on", () => {
    const messages = [{ role: "user", content: text }]
    const variants = [
      chat({ messages }),
      chat({ messages, tools: [{ type: "function" }] }),
      chat({ messages, chat_template_kwargs: { thinking: false } }),
      chat({ messages, model: "other" }),
      chat({ messages, cache_salt: "s" }),
      chat({ messages: [{ role: "system", content: text }] })
    ]
    expect(new Set(variants.map((variant) => entries(variant.chain(2))[0])).size).toBe(variants.length)
  })

  test("sampling settings do not", () => {
    const messages = [{ role: "user", content: text }]
    expect(entries(chat({ messages, temperature: 1, max_tokens: 5 }).chain(4))).toEqual(
      entries(chat({ messages }).chain(4))
    )
  })

  test("images with different data are different, the same data is the same, whatever its size", () => {
    const image = (url: string) =>
      chat({ messages: [{ role: "user", content: [{ type: "image_url", image_url: { url } }] }] })
    const data = `data:image/png;base64,${"A".repeat(100_000)}`
    expect(entries(image(data).chain(16))).toEqual(entries(image(data).chain(16)))
    expect(entries(image(data).chain(16))[0]).not.toBe(entries(image(`${data}B`).chain(16))[0])
    expect(image(data).promptTokens).toBeLessThan(1_000)
  })

  test("token ids are exact, in completions and in generate", () => {
    const ids = Array.from({ length: 70 }, (_, i) => i * 7)
    const completion = read("/v1/completions", { model: "m", prompt: ids })
    const generate = read("/inference/v1/generate", { model: "m", token_ids: ids, sampling_params: { max_tokens: 9 } })
    expect([completion.promptTokens, completion.chain(16).length, completion.tokensPerBlock(16)]).toEqual([70, 4, 16])
    expect([generate.promptTokens, generate.outputTokensMax]).toEqual([70, 9])
    expect(entries(generate.chain(16))).toEqual(entries(completion.chain(16)))
  })

  test("a chain is kept for each block size, also after the prompt is let go, while another pick may follow", () => {
    const features = chat({ messages: [{ role: "user", content: text }] })
    const [small, large] = [features.chain(4), features.chain(16)]
    features.release(true)
    expect([features.chain(4), features.chain(16)]).toEqual([small, large])
    expect(features.chain(32).length).toBe(0)
    features.release(false)
    expect(features.chain(4).length).toBe(0)
  })

  test("interleaved requests do not see each other's bytes", () => {
    const one = chat({ messages: [{ role: "user", content: `one ${text}` }] })
    const two = chat({ messages: [{ role: "user", content: `two ${text}` }] })
    const again = chat({ messages: [{ role: "user", content: `one ${text}` }] })
    expect(entries(two.chain(4))).not.toEqual(entries(one.chain(4)))
    expect(entries(one.chain(4))).toEqual(entries(again.chain(4)))
  })

  test("what never reaches the GPU costs nothing, what only prefills has no chain", () => {
    expect(read("/tokenize", { model: "m", prompt: text }).promptTokens).toBe(0)
    const embedding = read("/v1/embeddings", { model: "m", input: [text, text] })
    expect([embedding.promptTokens > 100, embedding.chain(16).length, embedding.generates]).toEqual([true, 0, false])
  })

  test("length limits, streaming and session are read where clients put them", () => {
    const features = chat({ messages: [], max_tokens: 5, max_completion_tokens: 7, stream: true })
    expect([features.outputTokensMax, features.streams, features.generates, features.sessionHash]).toEqual([
      7,
      true,
      true,
      0
    ])
    expect(read("/v1/responses", { model: "m", input: "x", max_output_tokens: 3 }).outputTokensMax).toBe(3)
    const sessions = [
      read("/v1/completions", { prompt: "x" }, { "x-session-id": "a" }),
      read("/v1/completions", { prompt: "x", session_id: "a" })
    ]
    expect(new Set(sessions.map((session) => session.sessionHash)).size).toBe(1)
    expect(sessions[0]?.sessionHash).not.toBe(0)
  })

  test("whatever JSON a client sends, features come out or BadRequest does", () => {
    const fields = fc.constantFrom(
      "model",
      "messages",
      "prompt",
      "input",
      "tools",
      "system",
      "stop",
      "sampling_params",
      "token_ids"
    )
    fc.assert(
      fc.property(fc.constantFrom(...proxyRoutes), fc.dictionary(fields, fc.jsonValue()), (route, body) => {
        if (route.prompt === "form") return
        try {
          const features = read(route.path, body)
          expect(features.promptTokens).toBeGreaterThanOrEqual(0)
          expect(features.chain(16).length).toBeLessThanOrEqual(1_000_000)
        } catch (cause) {
          expect(cause).toBeInstanceOf(BadRequest)
        }
      }),
      { numRuns: 500 }
    )
  })
})

describe("BytesPerToken", () => {
  test("starts at 4 and follows what the pods report", () => {
    const learner = new BytesPerToken(4)
    expect(learner.of("m")).toBe(4)
    for (let i = 0; i < 200; i++) learner.learn("m", 2_000, 1_000)
    expect(learner.of("m")).toBeCloseTo(2, 1)
  })

  test("stays within 1 and 16 and remembers a bounded number of models", () => {
    const learner = new BytesPerToken(2)
    for (let i = 0; i < 300; i++) learner.learn("low", 1, 1_000)
    expect(learner.of("low")).toBe(1)
    for (let i = 0; i < 300; i++) learner.learn("high", 1_000_000, 1)
    expect(learner.of("high")).toBe(16)
    learner.learn("third", 2_000, 1_000)
    expect(learner.of("low")).toBe(4)
  })
})

describe("withModel", () => {
  const changed = (text: string) => Buffer.from(withModel(Buffer.from(text), "new \"é\"")).toString()

  test.each([
    ["{\"model\":\"a\"}", "{\"model\":\"new \\\"é\\\"\"}"],
    [
      "{ \"x\" : {\"model\":\"a\"}, \"model\"\n:\t\"b\\\"c\" }",
      "{ \"x\" : {\"model\":\"a\"}, \"model\"\n:\t\"new \\\"é\\\"\" }"
    ],
    ["{\"m\\u006fdel\":\"a\",\"p\":\"model\"}", "{\"m\\u006fdel\":\"new \\\"é\\\"\",\"p\":\"model\"}"],
    ["{\"p\":[\"model\",\"x\\\\\"],\"model\":\"a\"}", "{\"p\":[\"model\",\"x\\\\\"],\"model\":\"new \\\"é\\\"\"}"],
    ["{\"p\":1}", "{\"p\":1}"]
  ])("%s becomes %s", (before, after) => {
    expect(changed(before)).toBe(after)
  })

  test("any object keeps all but its model", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.string(), fc.string(), (object, before, after) => {
        const text = JSON.stringify({ ...object, model: before }, null, 1)
        expect(JSON.parse(Buffer.from(withModel(Buffer.from(text), after)).toString())).toEqual(
          JSON.parse(JSON.stringify({ ...object, model: after }))
        )
      })
    )
  })
})

describe("multipart forms", () => {
  const form = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n\r\n--b\r\n--B\r\n" +
    "content-disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n--B\r\nContent-Disposition: form-data; name=\"e\"\r\n\r\n\r\n--B--\r\n"

  const formFields = (bytes: Uint8Array, boundary: string, names: ReadonlyArray<string>) => {
    const scanner = new FormScanner(boundary, names)
    scanner.push(bytes)
    return scanner.end()
  }

  test("fields are found in place", () => {
    const fields = formFields(Buffer.from(form), "B", ["model", "e"])
    if (typeof fields === "string") throw new Error(fields)
    const model = fields.get("model")
    expect([model?.value, fields.get("e")?.value, fields.has("file")]).toEqual(["whisper", "", false])
    if (model !== undefined) {
      expect(withField(Buffer.from(form), model, "w2").toString()).toBe(form.replace("whisper", "w2"))
    }
  })

  test("boundaries are read with and without quotes", () => {
    expect(boundaryOf("multipart/form-data; boundary=abc")).toBe("abc")
    expect(boundaryOf("Multipart/Form-Data; charset=x; boundary=\"a b\"")).toBe("a b")
    expect(boundaryOf("application/json")).toBeUndefined()
  })

  test("whatever the bytes, the answer is fields or a reason", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 10 }), fc.nat(300), (changes, cut) => {
        const bytes = Buffer.from(form)
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte
        const fields = formFields(bytes.subarray(0, cut), "B", ["model"])
        expect(typeof fields === "string" || fields.size <= 1).toBe(true)
      })
    )
  })
})
