import { describe, expect, test } from "bun:test"
import { connect } from "node:net"
import { podAddress } from "../../src/core/Pod.ts"
import { textOf } from "../lib/rawHttp.ts"
import { streamCompletion } from "../lib/streamCompletion.ts"
import { event, streamHead } from "../lib/streamedAnswer.ts"
import { pulledPod } from "./pulledPod.ts"
import { RawPod } from "./RawPod.ts"
import { TestFront } from "./TestFront.ts"
import { tlsPair } from "./tlsPair.ts"

const firstEvent = `data: {"choices":[{"text":"one"}]}\n\n`
const streamingPod = () => new RawPod((socket) => void socket.write(streamHead + event(firstEvent.slice(6, -2))))
const completion = { model: "m", prompt: "p" }

const expectStopping = async (answer: Promise<Response>): Promise<void> => {
  const { headers, status } = await answer
  expect([status, headers.get("retry-after"), headers.get("connection")]).toEqual([503, "1", "close"])
  expect(await (await answer).json()).toMatchObject({
    error: { code: "gateway_stopping", type: "service_unavailable_error" }
  })
}

describe.each([["plain HTTP", false], ["TLS", true]])("over %s, at the end of the grace", (_, isTls) => {
  test("every stream gets an error event and a good end, and its pod is let go", async () => {
    using pod = streamingPod()
    await using front = new TestFront([pod.address], isTls ? { tls: tlsPair } : {})
    const init = { tls: { rejectUnauthorized: false } } as RequestInit
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => front.post("/v1/completions", { ...completion, stream: true }, init))
    )
    const texts = answers.map((answer) => answer.text())
    expect(await front.server.stop(10)).toEqual({ ended: 50, broken: 0 })
    for (const text of await Promise.all(texts)) {
      expect(text).toStartWith(`${firstEvent}data: {"error":`)
      expect(text).toEndWith(`"code":"gateway_stopping"}}\n\n`)
    }
    expect(front.scheduler.outcomes()).toEqual(Array.from({ length: 50 }, () => "failed"))
    await pod.until(({ closedAtMs }) => closedAtMs.length === 50)
  })
})

describe("at the end of the grace, a request without an answer gets 503 and Retry-After", () => {
  test("while it waits for a pod, which the scheduler hears", async () => {
    await using front = new TestFront([])
    front.scheduler.beforePick = () => new Promise(() => {})
    const answer = front.post("/v1/completions", completion)
    while (front.scheduler.picks.length === 0) await Bun.sleep(1)
    expect(await front.server.stop(10)).toEqual({ ended: 1, broken: 0 })
    await expectStopping(answer)
    expect(front.scheduler.cancelled.length).toBe(1)
  })

  test("while its pod is silent", async () => {
    using pod = new RawPod(() => {})
    await using front = new TestFront([pod.address])
    const answer = front.post("/v1/completions", completion)
    await pod.until(({ received }) => received.length === 1)
    await front.server.stop(10)
    await expectStopping(answer)
    expect(front.scheduler.outcomes()).toEqual(["failed"])
    await pod.until(({ closedAtMs }) => closedAtMs.length === 1)
  })

  test("while half of an answer is here that is handed over as one", async () => {
    using pod = new RawPod((socket) => void socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"))
    await using front = new TestFront([pod.address])
    const answer = front.post("/v1/completions", completion)
    await pod.until(({ received }) => received.length === 1)
    await front.server.stop(10)
    await expectStopping(answer)
  })

  test("while it is being tried again", async () => {
    using broken = new RawPod((socket) => void socket.terminate())
    await using front = new TestFront([broken.address, podAddress("127.0.0.1", 1, false)])
    front.scheduler.beforePick = () =>
      front.scheduler.picks.length === 1 ? Promise.resolve() : new Promise<void>(() => {})
    const answer = front.post("/v1/completions", completion)
    while (front.scheduler.picks.length < 2) await Bun.sleep(1)
    await front.server.stop(10)
    await expectStopping(answer)
    expect(front.scheduler.outcomes()).toEqual(["failed"])
    expect(front.scheduler.cancelled.length).toBe(1)
  })

  test("while its body is still coming", async () => {
    await using front = new TestFront([])
    const heard = rawAnswer(
      front.server.port,
      "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{"
    )
    while (front.server.openRequests() === 0) await Bun.sleep(1)
    await front.server.stop(10)
    expect(await heard).toMatch(/^HTTP\/1\.1 503 [^]*gateway_stopping/)
  })
})

/** All that comes until the other side closes; rejects when it resets. */
const rawAnswer = (port: number, bytes: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = ""
    const socket = connect(port, "127.0.0.1", () => void socket.write(bytes))
    socket.on("data", (chunk) => void (text += chunk.toString()))
    socket.on("end", () => resolve(text))
    socket.on("error", reject)
  })

test("a client that takes nothing holds up the stop no longer than a moment, and is counted", async () => {
  const pod = pulledPod(`data: ${"y".repeat(64 * 1024)}\n\n`, 100_000, { "content-type": "text/event-stream" })
  await using front = new TestFront([podAddress("127.0.0.1", pod.port, false)])
  const body = JSON.stringify({ ...completion, stream: true })
  const client = connect(front.server.port, "127.0.0.1")
  client.on("error", () => {})
  client.pause()
  client.write(`POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
  await pod.atRest(100)
  expect(await front.server.stop(10)).toEqual({ ended: 1, broken: 1 })
  expect(front.scheduler.outcomes()).toEqual(["failed"])
  client.destroy()
  await pod.stop()
})

test("once a stop is announced each answer ends its connection, that of a request that came before as well", async () => {
  using pod = new RawPod((socket, _request, _connection, nth) => {
    if (nth > 0) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
  })
  await using front = new TestFront([pod.address])
  const before = front.post("/v1/completions", completion)
  await pod.until(({ received }) => received.length === 1)
  front.server.announceStop()
  expect(front.server.stopping()).toBe(true)
  const status = await fetch(`${front.url}/livez`)
  expect([status.status, status.headers.get("connection")]).toEqual([200, "close"])
  pod.writeToAll("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
  expect([(await before).status, (await before).headers.get("connection")]).toEqual([200, "close"])
})

test("a stop closes idle connections, refuses new ones, and closes those in use after their answer", async () => {
  using pod = new RawPod(() => {})
  await using front = new TestFront([pod.address])
  const { port } = front.server
  const get = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"
  const body = JSON.stringify(completion)
  const post = `POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`
  const idle = rawAnswer(port, get)
  const inUse = rawAnswer(port, post)
  await pod.until(({ received }) => received.length === 1)
  const stopped = front.server.stop(60_000)
  expect(await idle).toEndWith("ok\n")
  await expect(rawAnswer(port, get)).rejects.toThrow("ECONNREFUSED")
  pod.writeToAll("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
  expect(await inUse).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*connection: close[^]*\{\}$/i)
  expect(await stopped).toEqual({ ended: 0, broken: 0 })
})

test("a second stop shortens the time of the first, and both wait for its end", async () => {
  using pod = streamingPod()
  await using front = new TestFront([pod.address])
  const answer = streamCompletion(front.url, "p")
  await pod.until(({ received }) => received.length === 1)
  const first = front.server.stop(3_600_000)
  expect(await front.server.stop(0)).toEqual({ ended: 0, broken: 0 })
  expect(await first).toEqual({ ended: 1, broken: 0 })
  expect(textOf(await answer)).toContain("gateway_stopping")
})
