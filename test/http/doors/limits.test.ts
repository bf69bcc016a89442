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

  // However long clientIdleTimeout is, a connection's first headers have 10 to 12 s of Bun's own, and then no answer.
  test.concurrent("a client that drips its headers is cut off, however busy it looks", async () => {
    await using front = new TestFront([], { options: { clientIdleTimeoutS: 255 } })
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

describe("what Bun's server does without asking us", () => {
  const head = `POST ${path} HTTP/1.1\r\nHost: x\r\n`
  const body = JSON.stringify(prompt)
  const whole = `${head}Content-Length: ${body.length}\r\n\r\n${body}`

  test.each([
    ["a head of more than 16 KiB", `${head}X-A: ${"a".repeat(20_000)}\r\n\r\n`, [431]],
    ["more than 200 headers", `${head}${"X-A: 1\r\n".repeat(250)}\r\n`, [431]],
    ["a head without an end", "a".repeat(20_000), [431]],
    ["HTTP/1.1 without a Host", `POST ${path} HTTP/1.1\r\n\r\n`, [400]],
    ["a length beyond 2 to the 53rd", `${head}Content-Length: 9007199254740993\r\n\r\n`, [413]],
    ["HTTP/2 in the clear", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]],
    ["another version of HTTP", "GET /livez HTTP/3.0\r\nHost: x\r\n\r\n", [505]],
    ["TLS where there is none", `\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03${"a".repeat(508)}`, [400]],
    ["a method that it does not know", "BREW /livez HTTP/1.1\r\nHost: x\r\n\r\n", []],
    // RFC 9112 section 9.3.2 lets a server close, and a client must then ask again.
    ["50 requests before the first is answered", whole.repeat(50), []]
  ])("%s: the connection is closed with %j and no body", async (_name, bytes, answered) => {
    using pod = new RawPod(() => {})
    await using front = new TestFront([pod.address])
    const received = await rawExchange(front.server.port, bytes)
    expect(statuses(received)).toEqual(answered)
    expect(received.split("\r\n\r\n")[1] ?? "").toBe("")
    await front.quiet()
    expect((await fetch(`${front.url}/livez`)).status).toBe(200)
  })

  test("50 requests behind one another are answered in order where no answer has to wait", async () => {
    await using front = new TestFront([])
    const one = "GET /livez HTTP/1.1\r\nHost: x\r\n"
    const received = await rawExchange(front.server.port, `${`${one}\r\n`.repeat(49)}${one}Connection: close\r\n\r\n`)
    expect(statuses(received)).toEqual(Array.from({ length: 50 }, () => 200))
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
