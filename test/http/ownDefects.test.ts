import { describe, expect, test } from "bun:test"
import type { FrontMetrics } from "../../src/http/FrontMetrics.ts"
import { RawPod } from "./RawPod.ts"
import { TestFront } from "./TestFront.ts"

const chat = { model: "m", messages: [{ role: "user", content: "hi" }], stream: true }
const defect = () => {
  throw new Error("a defect")
}
const event = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"
const streamHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`
const whole = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"

/** What the client got, once nothing is open any more. */
const outcome = async (front: TestFront, body: object = chat) => {
  const answer = await front.post("/v1/chat/completions", body)
  const text = await answer.text().catch(() => "broken off")
  await front.quiet()
  return { status: answer.status, text }
}

describe("a defect of the gateway's own", () => {
  const cases: ReadonlyArray<readonly [keyof FrontMetrics, boolean]> = [["picked", true], ["firstByte", true], [
    "firstByte",
    false
  ]]
  test.each(cases)(
    "in %s before the first byte is one 500, and no pod is blamed (stream: %s)",
    async (name, stream) => {
      using pod = new RawPod((socket) => socket.write(stream ? streamHead + chunk(event) : whole))
      await using front = new TestFront([pod.address, pod.address], { metrics: { [name]: defect } })
      const { status, text } = await outcome(front, { ...chat, stream })
      expect([status, JSON.parse(text).error.code]).toEqual([500, "internal_error"])
      expect([front.scheduler.outcomes(), front.scheduler.failures, front.logged.length]).toEqual([["failed"], [], 1])
    }
  )

  test("after the first byte ends an event stream with an error event, once", async () => {
    using pod = new RawPod((socket) => socket.write(streamHead + chunk(event)))
    await using front = new TestFront([pod.address], {
      options: { requestTimeoutMs: 50 },
      metrics: { timedOut: defect, requestEnded: defect }
    })
    const { status, text } = await outcome(front)
    expect([status, text.startsWith(event), text.match(/"error"/g)?.length]).toEqual([200, true, 1])
    expect([front.scheduler.outcomes(), front.logged.length]).toEqual([["failed"], 1])
  })

  test("in the books at the end leaves the client its answer", async () => {
    using pod = new RawPod((socket) => socket.write(whole))
    await using front = new TestFront([pod.address], { metrics: { requestEnded: defect, tokens: defect } })
    expect(await outcome(front, { ...chat, stream: false })).toEqual({ status: 200, text: "{}" })
    expect([front.scheduler.outcomes(), front.logged.length]).toEqual([["finished"], 1])
  })

  test("in the decision log between two tries is one 500", async () => {
    using pod = new RawPod((socket) => socket.end("HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n"))
    const decisionLog = { samples: () => true, blockHashes: false, write: defect }
    await using front = new TestFront([pod.address], { decisionLog })
    expect((await outcome(front)).status).toBe(500)
    expect([front.scheduler.outcomes(), front.logged.length]).toEqual([["failed"], 1])
  })
})

test("a status that no answer may have is a pod's fault, and another one is tried", async () => {
  using odd = new RawPod((socket) => socket.write("HTTP/1.1 700 Odd\r\ncontent-length: 0\r\n\r\n"))
  using sound = new RawPod((socket) => socket.write(whole))
  await using front = new TestFront([odd.address, sound.address])
  expect(await outcome(front, { ...chat, stream: false })).toEqual({ status: 200, text: "{}" })
})
