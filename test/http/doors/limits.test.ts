import { describe, expect, test } from "bun:test"
import { nestsDeeper } from "../../../src/http/doors/jsonDepth.ts"
import { HeldBytes, RequestBytes } from "../../../src/http/doors/RequestBytes.ts"
import { RawPod } from "../RawPod.ts"
import { TestFront } from "../TestFront.ts"
import { rawExchange, statuses } from "./rawClient.ts"

const path = "/v1/completions"
const prompt = { model: "m", prompt: "p" }
const okPod = () => new RawPod((socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"))

const codeOf = async (answer: Response): Promise<unknown> => {
  const { error } = await answer.json() as { readonly error: { readonly code: string } }
  return [answer.status, error.code]
}

describe("limits", () => {
  test("headers, in number and in size, and the URL", async () => {
    using pod = okPod()
    await using front = new TestFront([pod.address], {
      options: { headersMax: 20, headerBytesMax: 2000, urlCharsMax: 300 }
    })
    const many = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`x-${i}`, "1"]))
    expect(await codeOf(await front.post(path, prompt, { headers: many }))).toEqual([431, "headers_too_large"])
    const large = { "x-large": "a".repeat(2000) }
    expect(await codeOf(await front.post(path, prompt, { headers: large }))).toEqual([431, "headers_too_large"])
    expect(await codeOf(await front.post(`${path}?${"a".repeat(300)}`, prompt))).toEqual([414, "url_too_long"])
    expect((await front.post(path, prompt)).status).toBe(200)
    expect(pod.received.length).toBe(1)
  })

  test.each(["/livez", "/v1/models", "/metrics", "/nothing"])("the same where no pod is asked: %s", async (own) => {
    await using front = new TestFront([], { options: { headersMax: 20, headerBytesMax: 2000, urlCharsMax: 300 } })
    const many = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`x-${i}`, "1"]))
    const large = { "x-large": "a".repeat(2000) }
    expect(await codeOf(await fetch(front.url + own, { headers: many }))).toEqual([431, "headers_too_large"])
    expect(await codeOf(await fetch(front.url + own, { headers: large }))).toEqual([431, "headers_too_large"])
    expect(await codeOf(await fetch(`${front.url}${own}?${"a".repeat(300)}`))).toEqual([414, "url_too_long"])
    expect(front.refusals).toEqual(["headers_too_large", "headers_too_large", "url_too_long"])
  })

  test("beyond Bun's own limit of a head the answer is a bare 431", async () => {
    await using front = new TestFront([])
    const huge = `POST ${path} HTTP/1.1\r\nHost: x\r\nX-A: ${"a".repeat(20_000)}\r\n\r\n`
    expect(statuses(await rawExchange(front.server.port, huge))).toEqual([431])
  })

  test("depth of JSON", async () => {
    using pod = okPod()
    await using front = new TestFront([pod.address], { options: { jsonDepthMax: 10 } })
    const nested = (levels: number): unknown =>
      levels === 0 ? 1 : levels % 2 === 0 ? [nested(levels - 1)] : { a: nested(levels - 1) }
    expect((await front.post(path, { ...prompt, extra: nested(9) })).status).toBe(200)
    expect(await codeOf(await front.post(path, { ...prompt, extra: nested(10) }))).toEqual([400, "bad_request"])
    const body = `{"model":"m","prompt":"p","x":${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}}`
    expect((await front.post(path, undefined, { body })).status).toBe(400)
    expect(pod.received.length).toBe(1)
  })

  test("bytes of all bodies together; they come free when the pod answers or the request ends", async () => {
    const pod = new RawPod(() => {})
    await using front = new TestFront([pod.address], { options: { requestBytesMax: 1000 } })
    const leaving = new AbortController()
    const first = front.post(path, { model: "m", prompt: "p".repeat(800) }, { signal: leaving.signal })
    await pod.until((pod) => pod.received.length === 1)
    const refused = await front.post(path, { model: "m", prompt: "p".repeat(800) })
    expect(refused.headers.get("retry-after")).toBe("1")
    expect(await codeOf(refused)).toEqual([429, "request_memory_full"])
    leaving.abort()
    await first.catch(() => {})
    await front.quiet()
    const second = front.post(path, { model: "m", prompt: "p".repeat(800) })
    await pod.until((pod) => pod.received.length === 2)
    pod.writeToAll("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    expect((await second).status).toBe(200)
    pod[Symbol.dispose]()
  })

  test("a chunked body counts as it comes", async () => {
    using pod = okPod()
    await using front = new TestFront([pod.address], { options: { requestBytesMax: 1000 } })
    const chunk = `400\r\n${"a".repeat(1024)}\r\n`
    const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`
    expect(statuses(await rawExchange(front.server.port, head + chunk, "request_memory_full"))).toEqual([429])
    await front.quiet()
    expect((await front.post(path, prompt)).status).toBe(200)
  })

  test.concurrent("a client that drips its headers is cut off, however busy it looks", async () => {
    await using front = new TestFront([], { options: { clientIdleTimeoutS: 1 } })
    const closed = Promise.withResolvers<void>()
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: front.server.port,
      socket: { data: () => {}, close: () => closed.resolve() }
    })
    socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\n`)
    const drip = setInterval(() => socket.write("X-A: b\r\n"), 100)
    await closed.promise
    clearInterval(drip)
  }, 30_000)

  test("a client that drips its body gets 408", async () => {
    await using front = new TestFront([], { options: { bodyReadTimeoutMs: 100 } })
    const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{`
    expect(statuses(await rawExchange(front.server.port, head, "body_timed_out"))).toEqual([408])
    await front.quiet()
  })
})

test("a share of the held bytes is given back once", () => {
  const all = new RequestBytes("request_memory_full", () => 10, () => 1)
  const held = new HeldBytes(all)
  held.take(8)
  expect(() => new HeldBytes(all).take(3)).toThrow("already fill 8 of 10")
  held.release()
  held.release()
  expect(all.heldBytes).toBe(0)
})

test("depth counts arrays and objects", () => {
  expect(nestsDeeper({ a: [1, { b: "c" }] }, 3)).toBe(false)
  expect(nestsDeeper({ a: [1, { b: "c" }] }, 2)).toBe(true)
  expect(nestsDeeper("text", 0)).toBe(false)
  expect(nestsDeeper({ a: null }, 1)).toBe(false)
})
