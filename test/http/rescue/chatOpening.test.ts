import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { ChatOpening } from "../../../src/http/rescue/ChatOpening.ts"
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

/** What leaves for these pieces, and whether the rest is taken for a beginning that was cut off. */
const passed = (...pieces: ReadonlyArray<string>): readonly [string, boolean] => {
  const held = new ChatOpening()
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
    const many = Array.from({ length: 1000 }, () => opening)
    expect(passed(...many)[0]).toBe(many.join(""))
  })

  test.each([
    ["died", gaveUp, "it ended a stream with an error: EngineCore died"],
    ["gave the request up", said(choice({}, 0, "abort")), "its engine gave the request up"]
  ])("says why when the engine %s", (_name, next, why) => {
    const held = new ChatOpening()
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

describe("a chat that no other pod could go on with", () => {
  const head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
  const ask = { model: "tiny", stream: true, messages: [{ role: "user", content: "Hi" }] }
  const tools = [{ type: "function", function: { name: "f", parameters: {} } }]

  test.each([
    ["with tools", { tools }],
    ["of several choices", { n: 2 }],
    ["with logprobs", { logprobs: true }],
    ["with a schema", { response_format: { type: "json_object" } }]
  ])("%s begins anew at another pod when it lost its own before the first word", async (_name, more) => {
    using one = new RawPod((socket) => {
      socket.write(head + opening)
      setTimeout(() => socket.terminate(), 5)
    })
    using two = new RawPod((socket) => void socket.end(head + opening + call + done))
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
    using one = new RawPod((socket) => void socket.end(head + text))
    using two = new RawPod((socket) => void socket.end(head + opening + call + done))
    await using front = new TestFront([one.address, two.address])
    const response = await front.post("/v1/chat/completions", { ...ask, tools })
    expect(await response.text()).toBe(opening + call + done)
  })

  test("is told as an error of the gateway's when no pod is left", async () => {
    using one = new RawPod((socket) => void socket.end(head + opening + gaveUp + done))
    await using front = new TestFront([one.address])
    const response = await front.post("/v1/chat/completions", { ...ask, tools })
    expect([response.status, await response.text()]).toEqual([503, expect.stringContaining("EngineCore died")])
  })

  test("stays with its pod once a call has begun", async () => {
    using one = new RawPod((socket) => void socket.end(head + opening + call + gaveUp + done))
    using two = new RawPod((socket) => void socket.end(head + opening + word + done))
    await using front = new TestFront([one.address, two.address])
    const response = await front.post("/v1/chat/completions", { ...ask, tools })
    expect(await response.text()).toBe(opening + call + gaveUp + done)
  })
})
