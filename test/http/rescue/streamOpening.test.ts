import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { FastCheck as fc } from "effect"
import { openingKinds } from "../../../src/http/rescue/openingKinds.ts"
import { StreamOpening } from "../../../src/http/rescue/StreamOpening.ts"
import type { PromptKind } from "../../../src/http/routes.ts"
import { RawPod } from "../RawPod.ts"
import { TestFront } from "../TestFront.ts"

const event = (data: object): string => `data: ${JSON.stringify(data)}\n\n`
const choice = (delta: object, index = 0, finish_reason: string | null = null): object => ({
  index,
  delta,
  logprobs: null,
  finish_reason
})
const said = (...choices: ReadonlyArray<object>): string => event({ id: "c", model: "tiny", choices })

const opening = said(choice({ role: "assistant", content: "" }))
const word = said(choice({ content: "Yes" }))
const call = said(choice({ tool_calls: [{ index: 0, id: "a", function: { name: "f" } }] }))
const gaveUp = event({ error: { message: "EngineCore died", type: "InternalServerError", code: 500 } })
const done = "data: [DONE]\n\n"
const streamHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"

const openingOf = (prompt: PromptKind): StreamOpening => {
  const kind = openingKinds[prompt]
  if (kind === undefined) throw new Error(`streams of ${prompt} begin at once`)
  return new StreamOpening(kind)
}

/** What leaves for these pieces of a chat, and whether the rest is taken for a beginning that was cut off. */
const passed = (...pieces: ReadonlyArray<string>): readonly [string, boolean] => passedOf("chat", pieces)

const passedOf = (prompt: PromptKind, pieces: ReadonlyArray<string>): readonly [string, boolean] => {
  const held = openingOf(prompt)
  for (const [i, piece] of pieces.entries()) {
    const bytes = Buffer.from(piece)
    if (!held.holds(bytes)) return [Buffer.concat(held.held).toString() + pieces.slice(i).join(""), held.isCut]
    // As the socket does with its memory.
    bytes.fill(0)
  }
  return ["", held.isCut]
}

describe("the opening of a chat", () => {
  test.each([
    ["one that names who speaks", opening],
    ["one for each choice", opening + said(choice({ role: "assistant", content: "" }, 1))],
    ["one of another server", said(choice({ role: "assistant", content: null, tool_calls: null }))],
    ["one that came in part", opening.slice(0, 40)],
    ["one with an end that came in part", opening + "data: {\"id\":\"c\","]
  ])("is kept back: %s", (_name, text) => expect(passed(text)).toEqual(["", true]))

  test.each([
    ["a word", word],
    ["a call", call],
    ["its end", done],
    ["the reason of its end", said(choice({}, 0, "stop"))],
    ["a first word with who speaks", said(choice({ role: "assistant", content: "Y" }))],
    ["a comment", ": still here\n\n"],
    ["lines that end otherwise", "data: {}\r\n\r\n"],
    ["a fault of the request", event({ error: { message: "no such grammar", code: 400 } })],
    ["no event at all", "hello"]
  ])("leaves whole with %s", (_name, next) => {
    expect(passed(opening, next)[0]).toBe(opening + next)
    expect(passed(next)[0]).toBe(next)
  })

  test("is no longer kept back when there is too much of it", () => {
    const many = Array.from({ length: 20_000 }, () => opening)
    expect(passed(...many)[0]).toBe(many.join(""))
  })

  test.each([
    ["died", gaveUp, "it ended a stream with an error: EngineCore died"],
    ["gave the request up", said(choice({}, 0, "abort")), "its engine gave the request up"]
  ])("says why when the engine %s", (_name, next, why) => {
    const held = openingOf("chat")
    expect(held.holds(Buffer.from(opening + next))).toBe(true)
    expect(held.surrender).toBe(why)
  })

  test("leaves byte for byte however it is cut into pieces", () => {
    const events = fc.array(fc.constantFrom(opening, "data: {}\n\n", "data: x\n\n", ": c\n\n", "é", done))
    fc.assert(fc.property(events, fc.array(fc.integer({ min: 1, max: 60 })), (texts, lengths) => {
      const text = texts.join("") + word
      const pieces: Array<string> = []
      let at = 0
      for (const length of lengths) {
        pieces.push(text.slice(at, at + length))
        at += length
      }
      pieces.push(text.slice(at), "\n")
      expect(passed(...pieces)[0]).toBe(`${text}\n`)
    }))
  })
})

/** Bodies of streams that vLLM 0.32 wrote, cut behind the first events, which tell of no output. */
const recorded = (name: string, firstEvents: number): readonly [opening: string, rest: string] => {
  const raw = readFileSync(new URL(`../../fixtures/vllm-http/${name}.res.raw`, import.meta.url), "utf8")
  const events = [...raw.matchAll(/event: .*\ndata: .*\n\n/g)].map(([event]) => event)
  return [events.slice(0, firstEvents).join(""), events.slice(firstEvents).join("")]
}

describe.each<readonly [PromptKind, string, object, readonly [string, string]]>([
  ["messages", "/v1/messages", { messages: [{ role: "user", content: "Hi" }] }, recorded("messages-stream", 1)],
  ["responses", "/v1/responses", { input: "Hi" }, recorded("responses-stream", 2)]
])("the opening of a stream of %s", (prompt, path, ask, [start, rest]) => {
  const answer = start + rest
  const failed =
    "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"internal_error\",\"message\":\"died\"}}\n\n"

  test("is kept back until there is output", () => {
    expect([start.length, rest.length].every((length) => length > 100)).toBe(true)
    expect(passedOf(prompt, [start])).toEqual(["", true])
    expect(passedOf(prompt, [start, rest.slice(0, 40)])).toEqual(["", true])
    expect(passedOf(prompt, [start, rest])[0]).toBe(answer)
  })

  test("leaves byte for byte however it is cut into pieces", () =>
    fc.assert(fc.property(fc.integer({ min: 1, max: 99 }), (length) => {
      const pieces = Array.from(
        { length: Math.ceil(answer.length / length) },
        (_, i) => answer.slice(i * length, (i + 1) * length)
      )
      expect(passedOf(prompt, pieces)[0]).toBe(answer)
    })))

  test("leaves with what is no event of the route's", () =>
    expect(
      ["data: {}\n\n", ": ping\n\n", "event: ping\ndata: {}\n\n", "hello"].map((text) => passedOf(prompt, [text])[0])
    )
      .toEqual(["data: {}\n\n", ": ping\n\n", "event: ping\ndata: {}\n\n", "hello"]))

  test.each([
    ["died", start, true],
    ["ended it", start, false],
    ["told of a fault of its own", start + failed, false]
  ])("is the next pod's when its pod %s", async (_why, text, dies) => {
    using one = new RawPod((socket) => {
      socket.write(streamHead + text)
      setTimeout(() => dies ? socket.terminate() : socket.end(), 5)
    })
    using two = new RawPod((socket) => void socket.end(streamHead + answer))
    await using front = new TestFront([one.address, two.address])
    const response = await front.post(path, { model: "tiny", stream: true, ...ask })
    expect([response.status, await response.text()]).toEqual([200, answer])
    await front.quiet()
    expect(front.scheduler.outcomes()).toEqual(["failed", "finished"])
  })

  test("ends with an error event when the pod dies behind it", async () => {
    const begun = answer.slice(0, start.length + rest.indexOf("\n\n") + 2)
    using one = new RawPod((socket) => {
      socket.write(streamHead + begun)
      setTimeout(() => socket.terminate(), 5)
    })
    using two = new RawPod((socket) => void socket.end(streamHead + answer))
    await using front = new TestFront([one.address, two.address])
    const text = await (await front.post(path, { model: "tiny", stream: true, ...ask })).text()
    expect(text).toStartWith(`${begun}event: error\ndata: {"type":"error"`)
    expect(front.scheduler.outcomes()).toEqual(["failed"])
  })
})

describe("a chat that no other pod could go on with", () => {
  const ask = { model: "tiny", stream: true, messages: [{ role: "user", content: "Hi" }] }
  const tools = [{ type: "function", function: { name: "f", parameters: {} } }]

  test.each([
    ["with tools", { tools }],
    ["of several choices", { n: 2 }],
    ["with logprobs", { logprobs: true }],
    ["with a schema", { response_format: { type: "json_object" } }]
  ])("%s begins anew at another pod when it lost its own before the first word", async (_name, more) => {
    using one = new RawPod((socket) => {
      socket.write(streamHead + opening)
      setTimeout(() => socket.terminate(), 5)
    })
    using two = new RawPod((socket) => void socket.end(streamHead + opening + call + done))
    await using front = new TestFront([one.address, two.address])
    const response = await front.post("/v1/chat/completions", { ...ask, ...more })
    expect([response.status, await response.text()]).toEqual([200, opening + call + done])
    await front.quiet()
    expect(front.scheduler.outcomes()).toEqual(["failed", "finished"])
  })

  test.each([
    ["its engine died", opening + gaveUp + done],
    ["its pod ended it", opening]
  ])("begins anew when %s", async (_name, text) => {
    using one = new RawPod((socket) => void socket.end(streamHead + text))
    using two = new RawPod((socket) => void socket.end(streamHead + opening + call + done))
    await using front = new TestFront([one.address, two.address])
    const response = await front.post("/v1/chat/completions", { ...ask, tools })
    expect(await response.text()).toBe(opening + call + done)
  })

  test("is told as an error of the gateway's when no pod is left", async () => {
    using one = new RawPod((socket) => void socket.end(streamHead + opening + gaveUp + done))
    await using front = new TestFront([one.address])
    const response = await front.post("/v1/chat/completions", { ...ask, tools })
    expect([response.status, await response.text()]).toEqual([503, expect.stringContaining("EngineCore died")])
  })

  test("stays with its pod once a call has begun", async () => {
    using one = new RawPod((socket) => void socket.end(streamHead + opening + call + gaveUp + done))
    using two = new RawPod((socket) => void socket.end(streamHead + opening + word + done))
    await using front = new TestFront([one.address, two.address])
    const response = await front.post("/v1/chat/completions", { ...ask, tools })
    expect(await response.text()).toBe(opening + call + gaveUp + done)
  })
})
