import { describe, expect, test } from "bun:test"
import { UnknownRoute } from "../../src/errors.ts"
import { toGatewayError } from "../../src/http/errors.ts"
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

/** Each callback by itself: what only hears of a request. */
const ears: ReadonlyArray<keyof FrontMetrics> = [
  "requestStarted",
  "requestEnded",
  "firstByte",
  "ttft",
  "picked",
  "retried",
  "retryDenied",
  "rescued",
  "rescueDenied",
  "podFailed",
  "refused",
  "timedOut",
  "tokens"
]
const deafened = Object.fromEntries(ears.map((name) => [name, defect]))
const failing = "HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n"

describe("metrics and a decision log that throw", () => {
  const decisionLog = { samples: defect, blockHashes: false, write: defect }

  test.each([true, false])("keep no answer from a client and no reservation (stream: %s)", async (stream) => {
    using bad = new RawPod((socket) => socket.end(failing))
    using pod = new RawPod((socket) => socket.write(stream ? streamHead + chunk(event) + chunk("") : whole))
    await using front = new TestFront([bad.address, pod.address], { decisionLog, metrics: deafened })
    const { status, text } = await outcome(front, { ...chat, stream })
    expect([status, text]).toEqual([200, stream ? event : "{}"])
    expect(front.scheduler.outcomes()).toEqual(["failed", "finished"])
    expect(front.logged.some((line) => line.includes("(retried)"))).toBe(true)
  })

  test("nor from one whose sample is written", async () => {
    using pod = new RawPod((socket) => socket.write(whole))
    await using front = new TestFront([pod.address], {
      decisionLog: { samples: () => true, blockHashes: false, write: defect }
    })
    expect(await outcome(front, { ...chat, stream: false })).toEqual({ status: 200, text: "{}" })
    expect([front.scheduler.outcomes(), front.logged.length]).toEqual([["finished"], 1])
  })

  test("nor its error from one that is refused, has to wait too long, or loses its pod", async () => {
    using pod = new RawPod((socket) => socket.write(streamHead + chunk(event)))
    await using front = new TestFront([pod.address], { metrics: deafened, options: { requestTimeoutMs: 50 } })
    const { text } = await outcome(front)
    expect([text.startsWith(event), text.match(/"error"/g)?.length]).toEqual([true, 1])
    expect((await fetch(`${front.url}/nothing`)).status).toBe(404)
    expect((await front.post("/v1/chat/completions", "no request")).status).toBe(400)
    expect(front.scheduler.outcomes()).toEqual(["failed"])
  })

  test("are told of in the log at their 1st, 10th, 100th time", async () => {
    await using front = new TestFront([], { metrics: { refused: defect } })
    for (let asked = 0; asked < 12; asked++) await fetch(`${front.url}/nothing`)
    expect(front.logged).toEqual([
      "what only counts and logs failed by a defect of the gateway (refused)",
      "what only counts and logs failed by a defect of the gateway (refused, 10 times so far)"
    ])
  })
})

describe("a defect of the gateway's own", () => {
  test.each([true, false])(
    "before the first byte is one 500, and no pod is blamed (stream: %s)",
    async (stream) => {
      using pod = new RawPod((socket) => socket.write(stream ? streamHead + chunk(event) : whole))
      await using front = new TestFront([pod.address, pod.address])
      Object.assign(front.scheduler, { firstToken: defect })
      const { status, text } = await outcome(front, { ...chat, stream })
      expect([status, JSON.parse(text).error.code]).toEqual([500, "internal_error"])
      expect([front.scheduler.outcomes(), front.scheduler.failures, front.logged.length]).toEqual([["failed"], [], 1])
    }
  )

  test("in the books at the end leaves the client its answer", async () => {
    using pod = new RawPod((socket) => socket.write(whole))
    await using front = new TestFront([pod.address])
    Object.assign(front.scheduler, { end: defect })
    expect(await outcome(front, { ...chat, stream: false })).toEqual({ status: 200, text: "{}" })
    expect(front.logged.length).toBe(1)
  })
})

test("a status that no answer may have is a pod's fault, and another one is tried", async () => {
  using odd = new RawPod((socket) => socket.write("HTTP/1.1 700 Odd\r\ncontent-length: 0\r\n\r\n"))
  using sound = new RawPod((socket) => socket.write(whole))
  await using front = new TestFront([odd.address, sound.address])
  expect(await outcome(front, { ...chat, stream: false })).toEqual({ status: 200, text: "{}" })
})

test("the log has the cause of a defect, of which clients are told nothing; an error of ours is not logged", () => {
  const logged: Array<readonly [string, unknown]> = []
  const log = (message: string, cause: unknown) => void logged.push([message, cause])
  const cause = new Error("secret of ours")
  expect(toGatewayError(cause, log)).toMatchObject({ status: 500, code: "internal_error" })
  expect(toGatewayError(cause, log).message).not.toContain("secret")
  expect(logged.map(([, what]) => what)).toEqual([cause, cause])
  const ours = new UnknownRoute({ message: "no route" })
  expect(toGatewayError(ours, log)).toBe(ours)
  expect(logged).toHaveLength(2)
})
