import { expect, test } from "bun:test"
import { connect } from "node:net"
import { startScriptedPod } from "../lib/recordedPod.ts"
import type { PodConnection } from "../lib/rawPod.ts"
import { startTestGateway } from "../lib/testGateway.ts"

const mebibyte = 1024 * 1024

/** Waits until the number has stood still for a while: nobody moves bytes any more. */
const standsStill = async (read: () => number): Promise<number> => {
  for (let last = read(), still = 0;;) {
    await Bun.sleep(50)
    const now = read()
    still = now === last && now > 0 ? still + 1 : 0
    last = now
    if (still === 10) return now
  }
}

const framings = ["content-length", "chunked"] as const

test.each(framings)("a client that stops reading stops the pod, and loses no byte (%s)", async (framing) => {
  const piece = Buffer.alloc(mebibyte)
  for (let i = 0; i < piece.length; i++) piece[i] = i % 251
  const pieces = 96
  const taken = Promise.withResolvers<PodConnection>()
  const pod = startScriptedPod((_request, connection) => {
    const framingLine = framing === "chunked"
      ? "transfer-encoding: chunked"
      : `content-length: ${pieces * piece.length}`
    connection.send(`HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n${framingLine}\r\n\r\n`)
    for (let i = 0; i < pieces; i++) {
      if (framing === "chunked") connection.send(`${piece.length.toString(16)}\r\n`)
      connection.send(piece)
      if (framing === "chunked") connection.send("\r\n")
    }
    if (framing === "chunked") connection.send("0\r\n\r\n")
    taken.resolve(connection)
  })
  const gateway = await startTestGateway({ pods: [pod.url] })
  await gateway.healthyPods(1)
  const body = JSON.stringify({ model: "tiny", prompt: "everything", max_tokens: 5, stream: true })
  const client = connect(gateway.port, "127.0.0.1")
  client.pause()
  client.write(
    `POST /v1/completions HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
  )
  const connection = await taken.promise
  // What two kernels and the gateway may hold between them, far below the 96 MiB of the answer.
  expect(await standsStill(connection.writtenBytes)).toBeLessThan(32 * mebibyte)

  let received = 0
  const ended = Promise.withResolvers<void>()
  client.on("data", (data) => void (received += data.length))
  client.once("close", () => ended.resolve())
  client.resume()
  await ended.promise
  expect(received).toBeGreaterThanOrEqual(pieces * piece.length)
  await gateway.becomesIdle()
  await gateway.stop()
  pod.stop()
}, 60_000)
