import { describe, expect, test } from "bun:test"
import { continuedBody, withTokenIds } from "../../../src/http/rescue/continuedBody.ts"
import { RescueBytes } from "../../../src/http/rescue/RescueBytes.ts"
import { type StreamTerms, termsOf } from "../../../src/http/rescue/StreamTerms.ts"
import { TokenTrail } from "../../../src/http/rescue/TokenTrail.ts"

const chat = { model: "alias", messages: [{ role: "user", content: "Hello" }], stream: true }
const completion = { model: "alias", prompt: "Hello", stream: true }

const trailOf = (prompt: string, ...said: ReadonlyArray<string>): TokenTrail => {
  const trail = new TokenTrail(new RescueBytes(() => 1e6), 1e6)
  trail.start(Buffer.from(prompt))
  for (const id of said) trail.append(Buffer.from(id), 0, id.length)
  return trail
}

const bodyOf = (terms: StreamTerms | undefined, trail: TokenTrail, maxModelLen?: number): unknown => {
  const body = terms && continuedBody(terms, trail, maxModelLen)
  return body && JSON.parse(Buffer.from(body).toString())
}

describe("another pod can't go on with a chat", () => {
  test.each([
    { n: 2 },
    { logprobs: true },
    { top_logprobs: 2, logprobs: true },
    { tools: [{ type: "function", function: { name: "f" } }] },
    { tools: [{ type: "function", function: { name: "f" } }], tool_choice: "auto" },
    { tool_choice: "required" },
    { response_format: { type: "json_schema", json_schema: { name: "x", schema: {} } } },
    { response_format: { type: "json_object" } },
    { structured_outputs: { regex: "a" } },
    { echo: true },
    { prompt_logprobs: 1 },
    { use_beam_search: true },
    { frequency_penalty: 0.5 },
    { presence_penalty: -1 },
    { stop: ["END"] },
    { stop: "\n", include_stop_str_in_output: true },
    { skip_special_tokens: false },
    { truncate_prompt_tokens: 10 },
    { vllm_xargs: { a: 1 } },
    { a_field_of_tomorrow: true },
    { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:" } }] }] },
    { messages: [{ role: "user", content: [{ type: "image_url", text: "a cat", image_url: { url: "data:" } }] }] },
    { messages: [{ role: "user", content: [{ text: "a cat", image_url: "data:" }] }] }
  ])("with %j", (more) => {
    expect(termsOf("chat", { ...chat, ...more }, "tiny")).toBeUndefined()
  })
})

describe("another pod can't go on with a completion", () => {
  test.each([
    { n: 2 },
    { best_of: 3 },
    { logprobs: 0 },
    { logprobs: 5 },
    { prompt_logprobs: 1 },
    { echo: true },
    { suffix: "the end" },
    { prompt: ["one", "two"] },
    { prompt: [[1, 2], [3]] },
    { prompt_embeds: "AAAA" },
    { structured_outputs: { regex: "a" } },
    { response_format: { type: "json_object" } },
    { use_beam_search: true },
    { frequency_penalty: 0.5 },
    { return_token_ids: false },
    { a_field_of_tomorrow: true }
  ])("with %j", (more) => {
    expect(termsOf("completions", { ...completion, ...more }, "tiny")).toBeUndefined()
  })
})

describe("another pod goes on with a stream", () => {
  test.each([
    {},
    { n: 1, logprobs: false, stop: ["\n"], response_format: { type: "text" }, presence_penalty: 0 },
    { tools: [{ type: "function", function: { name: "f" } }], tool_choice: "none" },
    { messages: [{ role: "user", content: [{ type: "text", text: "Hello" }, { text: "there" }, "!"] }] },
    { chat_template_kwargs: { enable_thinking: false }, user: "u", cache_salt: "s", seed: 7 }
  ])("of a chat with %j", (more) => {
    expect(termsOf("chat", { ...chat, ...more }, "tiny")).toBeDefined()
  })

  test("with the tokens so far, the client's sampling, and what is left of its limits", () => {
    const more = { max_tokens: 10, min_tokens: 4, temperature: 0, seed: 7, stop: "\n", user: "u", cache_salt: "s" }
    expect(bodyOf(termsOf("completions", { ...completion, ...more }, "tiny"), trailOf("0,2", "7", "8,9"))).toEqual({
      model: "tiny",
      temperature: 0,
      seed: 7,
      stop: "\n",
      cache_salt: "s",
      prompt: [0, 2, 7, 8, 9],
      max_tokens: 7,
      min_tokens: 1,
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: false },
      return_token_ids: true
    })
  })

  test("up to the end of the context when a chat names no limit, and not at all when nobody knows where that is", () => {
    const terms = termsOf("chat", chat, "tiny")
    expect(bodyOf(terms, trailOf("0,2", "7"), 100)).toMatchObject({ max_tokens: 97 })
    expect(bodyOf(terms, trailOf("0,2", "7"))).toBeUndefined()
  })

  test("up to vLLM's 16 tokens when a completion names no limit", () => {
    expect(bodyOf(termsOf("completions", completion, "tiny"), trailOf("0", "7"))).toMatchObject({ max_tokens: 15 })
  })

  test("up to the end of the context when a completion says that it has no limit", () => {
    const terms = termsOf("completions", { ...completion, max_tokens: null }, "tiny")
    expect(bodyOf(terms, trailOf("0", "7"), 100)).toMatchObject({ max_tokens: 98 })
  })
})

test("a pod is asked for token ids by one member more, every other byte as it was", () => {
  const body = Buffer.from(" {\"prompt\" : \"é{\",\"stream\":true}")
  const asked = Buffer.from(withTokenIds(body)).toString()
  expect(asked).toBe(" {\"return_token_ids\":true,\"prompt\" : \"é{\",\"stream\":true}")
})
