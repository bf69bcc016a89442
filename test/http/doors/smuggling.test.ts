import { describe, expect, test } from "bun:test"
import { RawPod } from "../RawPod.ts"
import { TestFront } from "../TestFront.ts"
import { rawExchange, statuses } from "./rawClient.ts"

const path = "/v1/completions"
const body = "{\"model\":\"m\",\"prompt\":\"p\"}"
const host = "Host: gateway.test\r\n"
const sized = `Content-Length: ${body.length}\r\n`
const inner = `POST /evil HTTP/1.1\r\n${host}Content-Length: 0\r\n\r\n`
const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`

const okPod = () => new RawPod((socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"))

/** What the gateway answers to the bytes, and what of it reached the pod. */
const sent = async (bytes: string, until?: string) => {
  using pod = okPod()
  await using front = new TestFront([pod.address])
  const received = await rawExchange(front.server.port, bytes, until)
  await front.quiet()
  return { statuses: statuses(received), received, pod: pod.received.join("") }
}

describe("a request whose end is told in two ways is refused, and no pod hears of it", () => {
  const post = `POST ${path} HTTP/1.1\r\n${host}`
  test.each([
    ["two lengths that differ", `${post}Content-Length: 5\r\n${sized}\r\n${body}${inner}`],
    ["two lengths that agree", `${post}${sized}${sized}Connection: close\r\n\r\n${body}`],
    ["a list of lengths", `${post}Content-Length: ${body.length}, ${body.length}\r\n\r\n${body}`],
    ["a length before chunks", `${post}${sized}Transfer-Encoding: chunked\r\n\r\n${chunked}${inner}`],
    ["chunks before a length", `${post}Transfer-Encoding: chunked\r\n${sized}\r\n${chunked}${inner}`],
    ["chunks twice", `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n${chunked}${inner}`],
    ["chunks in another coding", `${post}Transfer-Encoding: gzip, chunked\r\n\r\n${chunked}`],
    ["almost chunks", `${post}Transfer-Encoding: xchunked\r\n\r\n${chunked}`],
    ["a blank before the colon", `${post}Transfer-Encoding : chunked\r\n${sized}\r\n${body}`],
    ["a length with a sign", `${post}Content-Length: +${body.length}\r\n\r\n${body}`],
    ["a negative length", `${post}Content-Length: -1\r\n\r\n${body}`],
    ["a hexadecimal length", `${post}Content-Length: 0x1a\r\n\r\n${body}`],
    ["a folded header", `${post}X-A: b\r\n Content-Length: 5\r\n${sized}\r\n${body}`],
    ["a line feed alone", `${post}X-A: b\nX-B: c\r\n${sized}\r\n${body}`],
    ["a carriage return alone", `${post}X-A: b\rX-B: c\r\n${sized}\r\n${body}`],
    ["a zero byte", `${post}X-A: b\0c\r\n${sized}\r\n${body}`],
    ["a chunk size that is none", `${post}Transfer-Encoding: chunked\r\n\r\nzz\r\n${body}\r\n0\r\n\r\n`],
    ["chunks ended by line feeds", `${post}Transfer-Encoding: chunked\r\n\r\n${chunked.replaceAll("\r\n", "\n")}`]
  ])("%s", async (_name, bytes) => {
    const { pod, statuses } = await sent(bytes)
    expect(statuses).toEqual([400])
    expect(pod).toBe("")
  })
})

describe("targets", () => {
  const end = `${host}${sized}Connection: close\r\n\r\n${body}`
  test.each([
    [`http://evil.test:81${path}?a=b`, `POST ${path}?a=b HTTP/1.1`],
    [`/v1/../v1/./completions?x=/../y`, `POST ${path}?x=/../y HTTP/1.1`],
    [`${path}?a=%0d%0aX-Evil:%20b`, `POST ${path}?a=%0d%0aX-Evil:%20b HTTP/1.1`]
  ])("%s reaches the route's own path on a pod of ours and nothing else", async (target, line) => {
    using pod = okPod()
    await using front = new TestFront([pod.address])
    expect(statuses(await rawExchange(front.server.port, `POST ${target} HTTP/1.1\r\n${end}`))).toEqual([200])
    expect(pod.received.map((text) => text.split("\r\n").slice(0, 2))).toEqual([[line, `host: ${pod.address.id}`]])
  })

  test.each([
    "/v1/completions/../../metrics/../evil",
    "/v1%2fcompletions",
    "/v1/%2e%2e/v1/completions%00",
    "//evil.test/v1/completions",
    "/http://evil.test/v1/completions",
    "*"
  ])("%s is no route", async (target) => {
    const { pod, statuses } = await sent(`POST ${target} HTTP/1.1\r\n${end}`)
    expect(statuses.length).toBe(1)
    expect([400, 404]).toContain(statuses[0] ?? 0)
    expect(pod).toBe("")
  })

  test("CONNECT opens no tunnel", async () => {
    const { pod, statuses } = await sent(`CONNECT evil.test:80 HTTP/1.1\r\n${host}Connection: close\r\n\r\n`)
    expect(statuses.length).toBe(1)
    expect([400, 404, 405]).toContain(statuses[0] ?? 0)
    expect(pod).toBe("")
  })

  test.each(["a b", "a\tb", "x=\u0001", "\u00e9"])("a target with %j in it is refused or encoded", async (text) => {
    const { pod } = await sent(`POST ${path}?${text} HTTP/1.1\r\n${end}`)
    expect(pod === "" || /^POST \/v1\/completions\?[\x21-\x7e]* HTTP\/1\.1\r\n/.test(pod)).toBe(true)
  })

  test.each(["evil.test?x=", "evil.test/v1/x?y", "a b", "evil.test#"])(
    "the host %s changes no target",
    async (name) => {
      const { pod } = await sent(
        `POST ${path}?q=1 HTTP/1.1\r\nHost: ${name}\r\n${sized}Connection: close\r\n\r\n${body}`
      )
      expect(pod === "" || pod.startsWith(`POST ${path}?q=1 HTTP/1.1\r\nhost: 127.0.0.1:`)).toBe(true)
    }
  )
})

describe("headers", () => {
  test("that a client declares its connection's own don't go on, and the framing is ours", async () => {
    const { pod } = await sent(
      `POST ${path} HTTP/1.1\r\n${host}Connection: close, x-hop\r\nX-Hop: 1\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`
    )
    expect(pod).not.toMatch(/x-hop|transfer-encoding|\bte:|trailers/i)
    expect(pod.match(/content-length/gi)).toEqual(["content-length"])
    expect(pod).toContain(`\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
  })

  // Bun closes the connection of a client that does not wait for its answer; RFC 9112 lets a server do so.
  test("a request behind one that is not answered yet is no part of it", async () => {
    const one = `POST ${path} HTTP/1.1\r\n${host}${sized}\r\n${body}`
    const { pod } = await sent(`${one}POST ${path}?second HTTP/1.1\r\n${host}${sized}Connection: close\r\n\r\n${body}`)
    for (const request of pod.split(/(?=POST \/)/)) expect(request.split("\r\n\r\n")[1] ?? body).toBe(body)
  })
})

describe("the Host header", () => {
  const asked = (hosts: string, target = `POST ${path}`, version = "1.1") =>
    sent(`${target} HTTP/${version}\r\n${hosts}${sized}Connection: close\r\n\r\n${body}`)

  test.each([
    ["two that differ", "Host: a.test\r\nHost: b.test\r\n"],
    ["two that agree", "Host: a.test\r\nhost: a.test\r\n"],
    ["an empty one before another", "Host:\r\nHost: b.test\r\n"],
    ["two names in one", "Host: a.test b.test\r\n"],
    ["a user before it", "Host: user@a.test\r\n"],
    ["a path behind it", "Host: a.test/v1\r\n"],
    ["a port that is none", "Host: a.test:port\r\n"]
  ])("%s: refused in our own words on every route, and no pod hears of it", async (_name, hosts) => {
    for (const target of [`POST ${path}`, "POST /v1/audio/transcriptions", "GET /livez", "GET /nothing"]) {
      const { pod, received, statuses } = await asked(hosts, target)
      expect([target, statuses]).toEqual([target, [400]])
      expect(received).toContain(`"code":"bad_request"`)
      expect(received).toContain("Host")
      expect(pod).toBe("")
    }
  })

  test.each(["a.test", "a.test:8080", "A_b-c.test:", "10.0.0.1:80", "[::1]:8080", "[fe80::1%25eth0]", ""])(
    "%j alone is served",
    async (host) => {
      expect((await asked(`Host: ${host}\r\n`)).statuses).toEqual([200])
    }
  )

  test("may be missing in HTTP/1.0 only; of HTTP/1.1 without it Bun tells us nothing and answers a bare 400", async () => {
    for (const target of [`POST ${path}`, "GET /livez", "HEAD /livez"]) {
      expect([target, (await asked("", target, "1.0")).statuses]).toEqual([target, [200]])
    }
    expect((await asked("", `POST /a${path}`, "1.0")).statuses).toEqual([404])
    const { pod, received, statuses } = await asked("")
    expect(statuses).toEqual([400])
    expect(received).not.toContain("bad_request")
    expect(pod).toBe("")
  })
})

test("a pod's redirect is not followed", async () => {
  using elsewhere = okPod()
  using pod = new RawPod((socket) =>
    socket.write(
      `HTTP/1.1 307 Temporary Redirect\r\nlocation: http://${elsewhere.address.id}/v1/x\r\ncontent-length: 0\r\n\r\n`
    )
  )
  await using front = new TestFront([pod.address])
  const answer = await front.post(path, { model: "m", prompt: "p" }, { redirect: "manual" })
  expect(answer.status).toBe(307)
  expect(pod.received.length).toBe(1)
  expect(elsewhere.connections).toBe(0)
})
