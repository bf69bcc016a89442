import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { RescueBytes } from "../../../src/http/rescue/RescueBytes.ts"
import { TokenEvents } from "../../../src/http/rescue/TokenEvents.ts"
import { TokenTrail } from "../../../src/http/rescue/TokenTrail.ts"

type Kind = "chat" | "completions"

interface Said {
  readonly text: string
  readonly ids: ReadonlyArray<number>
}

const prompt = [0, 2, 7497]

/** A stream as vLLM 0.32 writes it, with ids or as it would be without. */
const streamOf = (kind: Kind, said: ReadonlyArray<Said>, withIds: boolean, usage: string): string => {
  const list = (ids: ReadonlyArray<number>): string => withIds ? `[${ids.join(",")}]` : "null"
  const event = (rest: string): string => `data: {"id":"x-1","object":"o","created":1,"model":"tiny",${rest}}\n\n`
  const lines = kind === "chat"
    ? [
      event(
        `"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]${usage},` +
          `"prompt_token_ids":${list(prompt)},"prompt_text":null`
      )
    ]
    : []
  for (const [index, { ids, text }] of said.entries()) {
    const last = index === said.length - 1
    const reason = last ? "\"length\"" : "null"
    const words = kind === "chat"
      ? `"delta":{"content":${JSON.stringify(text)}},"logprobs":null,"finish_reason":${reason}${
        last ? ",\"stop_reason\":null" : ""
      }`
      : `"text":${JSON.stringify(text)},"logprobs":null,"finish_reason":${reason},"stop_reason":null,` +
        `"prompt_token_ids":${index === 0 ? list(prompt) : "null"}`
    lines.push(event(`"choices":[{"index":0,${words},"token_ids":${list(ids)}}]${usage}`))
  }
  return `${lines.join("")}data: [DONE]\n\n`
}

const watch = (kind: Kind, shows = false) => {
  const room = new RescueBytes(() => 1e6)
  const trail = new TokenTrail(room, 1e5)
  return { room, trail, events: new TokenEvents(kind, shows, trail) }
}

/** What a client gets of `bytes` cut at `cuts`. */
const passed = (events: TokenEvents, bytes: Uint8Array, cuts: ReadonlyArray<number>): string => {
  const edges = [...new Set([0, ...cuts.map((cut) => cut % bytes.length), bytes.length])].sort((a, b) => a - b)
  const out = edges.slice(1).map((edge, i) => Buffer.from(events.push(bytes.slice(edges[i], edge))))
  return Buffer.concat(out).toString()
}

const saids = fc.array(
  fc.record({
    text: fc.oneof(fc.string(), fc.constantFrom("", "\"token_ids\":[1]", "\\", "\n\n", "{}", ":\"\"", "é�")),
    ids: fc.array(fc.nat({ max: 200_000 }), { minLength: 1, maxLength: 4 })
  }),
  { minLength: 1, maxLength: 12 }
)
const kinds = fc.constantFrom<Kind>("chat", "completions")
const usages = fc.constantFrom("", ",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}")

describe("the events of a pod that tells token ids", () => {
  test("reach the client as if it had told none, however they are cut", () => {
    fc.assert(fc.property(kinds, saids, usages, fc.array(fc.nat()), (kind, said, usage, cuts) => {
      const { events, trail } = watch(kind)
      const bytes = Buffer.from(streamOf(kind, said, true, usage))
      expect(passed(events, bytes, cuts)).toBe(streamOf(kind, said, false, usage))
      expect(trail.ids()).toBe([...prompt, ...said.flatMap(({ ids }) => ids)].join(","))
      expect([trail.promptTokens, trail.outputTokens]).toEqual([3, said.flatMap(({ ids }) => ids).length])
      expect(events.finished).toBe(true)
      expect(events.first).toContain("\"id\":\"x-1\"")
    }))
  })

  test("keep their ids when the client asked for them", () => {
    fc.assert(fc.property(kinds, saids, usages, fc.array(fc.nat()), (kind, said, usage, cuts) => {
      const { events, trail } = watch(kind, true)
      const text = streamOf(kind, said, true, usage)
      expect(passed(events, Buffer.from(text), cuts)).toBe(text)
      expect(trail.outputTokens).toBe(said.flatMap(({ ids }) => ids).length)
    }))
  })

  test("pass byte by byte when there are no ids in them", () => {
    fc.assert(fc.property(kinds, saids, usages, fc.array(fc.nat()), (kind, said, usage, cuts) => {
      const { events, trail } = watch(kind)
      const text = streamOf(kind, said, false, usage)
      expect(passed(events, Buffer.from(text), cuts)).toBe(text)
      expect(trail.kept).toBe(false)
    }))
  })

  test("of any other form come whole in the end", () => {
    fc.assert(fc.property(fc.string(), fc.array(fc.nat()), kinds, (text, cuts, kind) => {
      const bytes = Buffer.from(`${text}x`)
      const { events } = watch(kind)
      const out = passed(events, bytes, cuts) + Buffer.from(events.rest() ?? []).toString()
      if (!out.includes("�")) expect(out).toBe(`${text}x`)
    }))
  })

  test.each<Kind>(["chat", "completions"])("of a %s leave only when they are whole", (kind) => {
    const { events } = watch(kind)
    const text = streamOf(kind, [{ text: "one", ids: [1] }, { text: "two", ids: [22_222] }], true, "")
    const at = text.indexOf("\"two\"")
    const out = Buffer.from(events.push(Buffer.from(text.slice(0, at)))).toString()
    expect(out.endsWith("\n\n")).toBe(true)
    expect(out).toContain("\"one\"")
  })
})

test.each<Kind>(["chat", "completions"])("tokens without text yet in a %s are forgotten for another pod", (kind) => {
  const { events, trail } = watch(kind)
  const said = [{ text: "a", ids: [11] }, { text: "", ids: [12] }, { text: "", ids: [13] }, { text: "z", ids: [99] }]
  const text = streamOf(kind, said, true, "")
  events.push(Buffer.from(text.slice(0, text.indexOf("data: ", text.indexOf("[13]")))))
  trail.rollBack()
  expect(trail.ids()).toBe([...prompt, 11].join(","))
})

test("an event that a parser of the pod left empty is dropped, and its token kept", () => {
  const { events, trail } = watch("chat")
  events.push(
    Buffer.from(
      streamOf("chat", [{ text: "a", ids: [1] }, { text: "b", ids: [2] }], true, "").split("data: {")
        .slice(0, 3).join("data: {")
    )
  )
  const empty = "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":null," +
    "\"token_ids\":[151667]}]}\n\n"
  expect(events.push(Buffer.from(empty))).toHaveLength(0)
  expect(trail.ids()).toBe([...prompt, 1, 151_667].join(","))
})

test.each([
  "data: {\"error\":{\"message\":\"EngineCore encountered an issue\",\"code\":500}}\n\n",
  "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"logprobs\":null," +
  "\"finish_reason\":\"abort\",\"stop_reason\":null,\"token_ids\":[9]}]}\n\n",
  "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"logprobs\":null," +
  "\"finish_reason\":\"abort\",\"stop_reason\":null,\"token_ids\":[]}]}\n\n"
])("an event by which the pod gives up is held back: %s", (event) => {
  const { events } = watch("chat")
  const text = streamOf("chat", [{ text: "a", ids: [1] }, { text: "b", ids: [2] }], true, "")
  events.push(Buffer.from(text.slice(0, text.lastIndexOf("data: {"))))
  expect(events.push(Buffer.from(`${event}data: [DONE]\n\n`))).toHaveLength(0)
  expect(Buffer.from(events.surrender ?? []).toString()).toContain(event.slice(0, 20))
  expect(events.finished).toBe(false)
})

test("the memory of all trails is bounded and given back", () => {
  const room = new RescueBytes(() => 1_000)
  const trails = Array.from({ length: 5 }, () => new TokenTrail(room, 600))
  for (const trail of trails) trail.start(Buffer.from("1,2,3"))
  expect(trails.map((trail) => trail.kept)).toEqual([true, true, false, false, false])
  const [first] = trails
  for (let i = 0; i < 200; i++) first?.append(Buffer.from("12345"), 0, 5)
  expect(first?.kept).toBe(false)
  for (const trail of trails) trail.release()
  expect(room.heldBytes).toBe(0)
})
