import { describe, expect, test } from "bun:test"
import { ActorCrashed, MailboxFull } from "../../actors/runtime/errors.ts"
import { refusalError, toGatewayError } from "../../actors/schedulerRefusals.ts"
import { GatewayError } from "../../src/errors.ts"
import { RawPod } from "./RawPod.ts"
import { TestFront } from "./TestFront.ts"

const path = "/v1/completions"
const prompt = { model: "m", prompt: "p" }
const PACE_S = 7

const refusalOf = async (answer: Response): Promise<unknown> => {
  const { error } = (await answer.json()) as { readonly error: { readonly code: string; readonly type: string } }
  return [answer.status, error.code, error.type, answer.headers.get("retry-after")]
}

describe("what is refused for want of room says which, and comes back by the measured pace", () => {
  test("open requests", async () => {
    using pod = new RawPod(() => {})
    await using front = new TestFront([pod.address], { options: { openRequestsMax: 1 } })
    front.scheduler.paceS = PACE_S
    const first = front.post(path, prompt)
    await pod.until((pod) => pod.received.length === 1)
    expect(await refusalOf(await front.post(path, prompt))).toEqual([
      429,
      "too_many_open_requests",
      "rate_limit_error",
      "7"
    ])
    pod.writeToAll("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
    await first
  })

  test("memory of bodies", async () => {
    await using front = new TestFront([], { options: { requestBytesMax: 10 } })
    front.scheduler.paceS = PACE_S
    expect(await refusalOf(await front.post(path, prompt))).toEqual([
      429,
      "request_memory_full",
      "rate_limit_error",
      "7"
    ])
  })

  test("connections to the pods", async () => {
    using pod = new RawPod(() => {})
    await using front = new TestFront([pod.address], { upstream: { connectionsMax: 1 } })
    front.scheduler.paceS = PACE_S
    const first = front.post(path, prompt)
    await pod.until((pod) => pod.received.length === 1)
    expect(await refusalOf(await front.post(path, prompt))).toEqual([
      429,
      "pod_connections_full",
      "rate_limit_error",
      "7"
    ])
    expect(front.failedPods).toEqual([])
    pod.writeToAll("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
    await first
  })

  test.each([["too-many-open", "too_many_open_requests"], ["filtered", "pods_filtered"]] as const)(
    "the scheduler's %s",
    (refusal, code) => {
      expect(refusalError(refusal, "m", { pod: 3, queue: PACE_S }, 10)).toMatchObject({ code, retryAfterS: PACE_S })
    }
  )

  test("the scheduler's mailbox", () => {
    const error = toGatewayError(new MailboxFull({ actor: "scheduler", capacity: 1 }), 1000, PACE_S)
    expect(error).toMatchObject({ status: 429, code: "scheduler_mailbox_full", retryAfterS: PACE_S })
  })

  test("a crash is no refusal", () => {
    const error = toGatewayError(new ActorCrashed({ actor: "scheduler", cause: "x" }), 1000, PACE_S)
    expect(error instanceof GatewayError && [error.status, error.retryAfterS]).toEqual([500, undefined])
  })
})

test("a pod's failures are counted with what was seen there", async () => {
  using resets = new RawPod((socket) => socket.terminate())
  using refuses = new RawPod((socket) => socket.write("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"))
  await using front = new TestFront([resets.address, refuses.address])
  await (await front.post(path, prompt)).text()
  expect(front.failedPods.map(([pod]) => pod)).toEqual([resets.address.id, refuses.address.id])
  expect(front.failedPods[1]?.[1]).toBe("answer-503")
})

test("a 500 that no other pod was there to be compared with is told as one in doubt", async () => {
  using pod = new RawPod((socket) => socket.write("HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\n{}"))
  await using front = new TestFront([pod.address])
  expect((await front.post(path, prompt)).status).toBe(500)
  await front.quiet()
  expect(front.scheduler.failures).toMatchObject([{ id: pod.address.id, reservation: 0, sure: false }])
})
