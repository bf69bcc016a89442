import { describe, expect, test } from "bun:test"
import { connect, type TLSSocket } from "node:tls"
import type { ClientServing } from "../../../src/http/doors/ClientListener.ts"
import { listenTls } from "../../../src/http/doors/listenTls.ts"
import { event, streamEnd, streamHead } from "../../lib/streamedAnswer.ts"
import { RawPod } from "../RawPod.ts"
import { TestFront } from "../TestFront.ts"
import { tlsPair } from "../tlsPair.ts"
import { otherPair } from "./otherPair.ts"

const opened = (port: number): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => resolve(socket))
    socket.on("error", reject)
  })

const certificateOf = async (port: number): Promise<string> => {
  const socket = await opened(port)
  const { subject } = socket.getPeerCertificate()
  socket.destroy()
  return String(subject.CN)
}

const trusted = { tls: { ca: [tlsPair.cert, otherPair.cert] } } as RequestInit

const serving = (fetch: ClientServing["fetch"]): ClientServing => ({
  hostname: "127.0.0.1",
  port: 0,
  reusePort: false,
  idleTimeoutS: 30,
  stallTimeoutMs: () => 60_000,
  fetch
})

describe("listenTls", () => {
  test("serves over TLS and knows its clients' addresses", async () => {
    const listener = listenTls(
      serving((request, server) => new Response(server.requestIP?.(request)?.address ?? "unknown")),
      tlsPair
    )
    expect(await (await fetch(listener.url, trusted)).text()).toBe("127.0.0.1")
    await listener.stop(true)
  })

  test("another certificate drops no connection: not one that streams, not one that idles", async () => {
    const pod = new RawPod((socket) => void socket.write(streamHead + event("first")))
    await using front = new TestFront([pod.address], { tls: tlsPair })
    const { port } = front.server
    const streaming = await front.post("/v1/completions", { model: "m", prompt: "p", stream: true }, trusted)
    const reader = streaming.body?.getReader()
    const read = async () => Buffer.from((await reader?.read())?.value ?? []).toString()
    expect(await read()).toContain("first")
    const idle = await opened(port)
    const answered = Promise.withResolvers<string>()
    front.server.replaceTls(otherPair)
    expect(await certificateOf(port)).toBe("second.test")
    idle.on("data", (data) => answered.resolve(data.toString()))
    idle.write("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    expect(await answered.promise).toStartWith("HTTP/1.1 200 OK")
    expect(String(idle.getPeerCertificate().subject.CN)).toBe("127.0.0.1")
    await pod.until((pod) => pod.received.length === 1)
    pod.writeToAll(event("last") + streamEnd)
    expect(await read()).toContain("last")
    expect((await reader?.read())?.done).toBe(true)
    idle.destroy()
    pod[Symbol.dispose]()
  })

  test("clients that keep coming through twenty changes all get their answers", async () => {
    await using front = new TestFront([], { tls: tlsPair })
    const changing = new AbortController()
    const came = Array.from({ length: 4 }, async () => {
      let answers = 0
      while (!changing.signal.aborted) {
        const init = { ...trusted, keepalive: false }
        const answer = await fetch(`${front.url}/livez`, init)
        if ((await answer.text()) === "ok\n") answers++
      }
      return answers
    })
    for (let i = 0; i < 20; i++) {
      front.server.replaceTls(i % 2 === 0 ? otherPair : tlsPair)
      await certificateOf(front.server.port)
    }
    changing.abort()
    for (const answers of await Promise.all(came)) expect(answers).toBeGreaterThan(0)
  })

  test("a pair that is none is refused in words, and the one before stays", async () => {
    await using front = new TestFront([], { tls: tlsPair })
    expect(() => front.server.replaceTls({ cert: tlsPair.cert, key: otherPair.key })).toThrow("does not belong")
    expect(() => front.server.replaceTls({ cert: "nothing", key: otherPair.key })).toThrow()
    expect(await certificateOf(front.server.port)).toBe("127.0.0.1")
  })

  test("a port that is taken is an error at the start", () => {
    using pod = new RawPod(() => {})
    expect(() => listenTls({ ...serving(() => new Response()), port: pod.address.port }, tlsPair)).toThrow()
  })

  test("large bodies pass both ways through slow sides, byte for byte", async () => {
    const listener = listenTls(serving(async (request) => new Response(await request.bytes())), tlsPair)
    const bytes = crypto.getRandomValues(new Uint8Array(65_536))
    const body = Buffer.concat(Array.from({ length: 320 }, () => bytes))
    const answer = await fetch(listener.url, { ...trusted, method: "POST", body })
    expect(Bun.hash(await answer.bytes())).toBe(Bun.hash(body))
    await listener.stop(true)
  })

  test("a client that leaves is noticed behind the relay", async () => {
    const pod = new RawPod((socket) => void socket.write(streamHead + event("first")))
    await using front = new TestFront([pod.address], { tls: tlsPair })
    const controller = new AbortController()
    const init = { ...trusted, signal: controller.signal }
    const streaming = await front.post("/v1/completions", { model: "m", prompt: "p", stream: true }, init)
    await streaming.body?.getReader().read()
    controller.abort()
    await pod.until((pod) => pod.closedAtMs.length === 1)
    await front.quiet()
    expect(front.scheduler.outcomes()).toEqual(["aborted"])
    pod[Symbol.dispose]()
  })

  test.concurrent("who connects and speaks no TLS, or nothing, is hung up on", async () => {
    const listener = listenTls({ ...serving(() => new Response("x")), idleTimeoutS: 1 }, tlsPair)
    const closed = Promise.withResolvers<void>()
    await Bun.connect({
      hostname: "127.0.0.1",
      port: listener.port,
      socket: { data: () => {}, close: () => closed.resolve() }
    })
    await closed.promise
    await listener.stop(true)
  }, 30_000)
})
