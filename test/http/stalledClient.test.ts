import { afterEach, describe, expect, test } from "bun:test"
import { connect as connectPlain, type Socket } from "node:net"
import { connect as connectTls } from "node:tls"
import { event, streamEnd, streamHead } from "../lib/streamedAnswer.ts"
import { RawPod } from "./RawPod.ts"
import { TestFront } from "./TestFront.ts"
import { tlsPair } from "./tlsPair.ts"

const cleanups: Array<() => void> = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

const body = JSON.stringify({ model: "m", prompt: "p", stream: true })
const large = event("y".repeat(60_000))

/** Streams as fast as it is read, until it is hung up on. */
const endlessPod = (): RawPod =>
  new RawPod((socket) => {
    const more = (): void => {
      if (socket.readyState !== 1) return
      socket.write(large)
      setImmediate(more)
    }
    socket.write(streamHead)
    more()
  })

/** A client that has sent its request and reads nothing. */
const mutedClient = (port: number, isTls: boolean): Socket => {
  const socket = isTls
    ? connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false })
    : connectPlain(port, "127.0.0.1")
  socket.on("error", () => {})
  socket.pause()
  socket.write(`POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
  cleanups.push(() => socket.destroy())
  return socket
}

describe.each([["plain HTTP", false], ["TLS", true]])("over %s, a client that does not read its stream", (_, isTls) => {
  test("is hung up on after clientStallTimeout, which ends its request and its answer", async () => {
    using pod = endlessPod()
    await using front = new TestFront([pod.address], {
      options: { clientStallTimeoutMs: 100 },
      ...(isTls ? { tls: tlsPair } : {})
    })
    const client = mutedClient(front.server.port, isTls)
    await pod.until((pod) => pod.closedAtMs.length === 1)
    await front.quiet()
    expect(front.scheduler.outcomes()).toEqual(["aborted"])
    expect(front.booked).toContain("ended /v1/completions 200 aborted")
    expect(front.booked.filter((line) => line.startsWith("timed out"))).toEqual(["timed out client"])
    let received = ""
    client.on("data", (bytes) => (received = (received + bytes.toString("latin1")).slice(-streamEnd.length)))
    const closed = new Promise((resolve) => client.once("close", resolve))
    client.resume()
    await closed
    expect(received).not.toBe(streamEnd)
  })
})

test("a client that waits for its pod is not the one who stalls", async () => {
  using pod = new RawPod((socket) => {
    socket.write(streamHead + event("first"))
    setTimeout(() => socket.write(event("last") + streamEnd), 150)
  })
  await using front = new TestFront([pod.address], { options: { clientStallTimeoutMs: 20 } })
  const answer = await front.post("/v1/completions", JSON.parse(body))
  expect(await answer.text()).toBe("data: first\n\ndata: last\n\n")
  expect(front.booked.filter((line) => line.startsWith("timed out"))).toEqual([])
})

test("a client that reads in pieces of its own choice, each in time, gets all of it", async () => {
  const events = 400
  using pod = new RawPod((socket) => {
    let left = Buffer.from(streamHead + large.repeat(events) + streamEnd)
    const more = (): void => {
      left = left.subarray(Math.max(0, socket.write(left)))
      if (left.length > 0) setTimeout(more, 1)
    }
    more()
  })
  await using front = new TestFront([pod.address], { options: { clientStallTimeoutMs: 5_000 } })
  const client = mutedClient(front.server.port, false)
  let received = 0
  let end = ""
  const whole = new Promise<void>((resolve) => {
    client.on("data", (bytes) => {
      received += bytes.length
      end = (end + bytes.toString("latin1")).slice(-streamEnd.length)
      if (end === streamEnd && received > events * 60_000) resolve()
      client.pause()
      setTimeout(() => client.resume(), 1)
    })
  })
  client.resume()
  await whole
  expect(front.scheduler.outcomes()).toEqual(["finished"])
}, 30_000)

test("a client that half-closes behind its request gets no answer, since Bun takes it for gone", async () => {
  using pod = new RawPod(() => {})
  await using front = new TestFront([pod.address])
  const client = connectPlain({ port: front.server.port, host: "127.0.0.1", allowHalfOpen: true })
  cleanups.push(() => client.destroy())
  let received = 0
  client.on("data", (bytes) => (received += bytes.length))
  client.write(`POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
  await pod.until((pod) => pod.received.length === 1)
  const closed = new Promise((resolve) => client.once("end", resolve))
  client.end()
  await closed
  await pod.until((pod) => pod.closedAtMs.length === 1)
  await front.quiet()
  expect([received, front.scheduler.outcomes()]).toEqual([0, ["aborted"]])
})
