import { expect, test } from "bun:test"
import type { Socket } from "bun"
import { connect } from "node:net"
import { eventually } from "../../lib/eventually.ts"
import { RawPod } from "../RawPod.ts"
import { TestFront } from "../TestFront.ts"

const head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
const event = (text: string, prompt: string): string => {
  const data =
    `data: {"id":"c","object":"o","created":1,"model":"tiny","choices":[{"index":0,"text":"${text}","logprobs":null,` +
    `"finish_reason":null,"stop_reason":null,"prompt_token_ids":${prompt},"token_ids":[7]}]}\n\n`
  return `${data.length.toString(16)}\r\n${data}\r\n`
}
const long = event("y".repeat(60_000), "null")

/** Streams as fast as it is read and counts the bytes that were taken. */
const stream = (socket: Socket<{ text: string }>, taken: { bytes: number }): void => {
  let left = Buffer.from(head + event("a", "[1]"))
  const more = (): void => {
    if (socket.readyState !== 1) return
    if (left.length === 0) left = Buffer.from(long)
    const wrote = Math.max(0, socket.write(left))
    taken.bytes += wrote
    left = left.subarray(wrote)
    setTimeout(more, wrote === 0 ? 5 : 0)
  }
  more()
}

const atRest = async (taken: { bytes: number }): Promise<void> => {
  for (let before = -1; before !== taken.bytes;) {
    before = taken.bytes
    await Bun.sleep(100)
  }
}

test("a client that reads slowly is no less slow for the pod that goes on with its stream", async () => {
  const first = { bytes: 0 }
  const second = { bytes: 0 }
  using one = new RawPod((socket) => stream(socket, first))
  using two = new RawPod((socket) => stream(socket, second))
  await using front = new TestFront([one.address, two.address])
  const body = JSON.stringify({ model: "tiny", prompt: "Hi", stream: true, max_tokens: 1_000_000 })
  const client = connect(front.server.port, "127.0.0.1")
  client.on("error", () => {})
  client.pause()
  client.write(`POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
  await eventually("bytes of the first pod", () => first.bytes > 0)
  await atRest(first)
  one.breakAll()
  await eventually("bytes of the second pod", () => second.bytes > 0)
  await atRest(second)
  // What rests on the way is in buffers of sockets; those of the client are full already.
  expect(second.bytes).toBeLessThan(2 * first.bytes)
  client.resume()
  const rested = second.bytes
  await eventually("more bytes of the second pod", () => second.bytes > rested)
  client.destroy()
  await front.quiet()
})
