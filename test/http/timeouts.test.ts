import { expect, test } from "bun:test"
import type { PodAddress } from "../../src/core/Pod.ts"
import { TimedOut } from "../../src/errors.ts"
import { makeFrontMetrics } from "../../src/telemetry/frontMetrics.ts"
import { MetricRegistry } from "../../src/telemetry/MetricRegistry.ts"
import { valueOf } from "../telemetry/page.ts"
import { rawRequest } from "../lib/rawHttp.ts"
import { RawPod } from "./RawPod.ts"
import { TestFront } from "./TestFront.ts"

const path = "/v1/completions"

/** A front that counts as the live one does. */
const frontOver = (pods: ReadonlyArray<PodAddress>, options: ConstructorParameters<typeof TestFront>[1]) => {
  const registry = new MetricRegistry(100)
  const metrics = makeFrontMetrics(registry, { routesMax: 10, modelsMax: 10, podsMax: 10 })
  const front = new TestFront(pods, { ...options, metrics })
  return { front, counted: (phase: string) => valueOf(registry.render(), "warmroute_timeouts_total", { phase }) }
}

const answerOf = async (answer: Response): Promise<unknown> => {
  const { error } = (await answer.json()) as { readonly error: { readonly code: string } }
  return [answer.status, error.code]
}

const silent = (): RawPod => new RawPod(() => {})

const half = (): RawPod =>
  new RawPod((socket) =>
    socket.write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{")
  )

test.each([
  ["connect", "connect_timed_out", silent, { upstream: { connectTimeoutMs: 30 } }],
  ["first-byte", "first_byte_timed_out", silent, { upstream: { firstByteTimeoutMs: 30 } }],
  ["between-bytes", "between_bytes_timed_out", half, { upstream: { silenceTimeoutMs: 30 } }],
  ["total", "request_timed_out", silent, { options: { requestTimeoutMs: 30 } }]
])("a pod that takes too long in the phase %s is 504 %s and counted", async (phase, code, podOf, options) => {
  using pod = podOf()
  // It takes the connection, but never says a word of TLS.
  const address = { ...pod.address, tls: phase === "connect" }
  const { counted, front } = frontOver([address], options)
  await using _ = front
  expect(await answerOf(await front.post(path, { model: "m", prompt: "p" }))).toEqual([504, code])
  expect(counted(phase)).toBe(1)
})

test("a scheduler that takes too long is 504 timed_out and counted", async () => {
  const { counted, front } = frontOver([], {})
  await using _ = front
  front.scheduler.beforePick = () => Promise.reject(new TimedOut("scheduler", "no answer"))
  expect(await answerOf(await front.post(path, { model: "m", prompt: "p" }))).toEqual([504, "timed_out"])
  expect(counted("scheduler")).toBe(1)
})

test("a scheduler that takes too long over the second pod is counted, and the client hears of the first", async () => {
  using pod = new RawPod((socket) => socket.terminate())
  const { counted, front } = frontOver([pod.address, pod.address], {})
  await using _ = front
  front.scheduler.beforePick = () =>
    front.scheduler.picks.length > 1 ? Promise.reject(new TimedOut("scheduler", "no answer")) : Promise.resolve()
  expect(await answerOf(await front.post(path, { model: "m", prompt: "p" }))).toEqual([502, "pod_unreachable"])
  expect(counted("scheduler")).toBe(1)
})

test("a client that takes too long over its body is 408 body_timed_out and counted", async () => {
  const { counted, front } = frontOver([], { options: { bodyReadTimeoutMs: 20 } })
  await using _ = front
  const answer = await rawRequest(front.url, { method: "POST", path, headers: { "content-length": "100" } })
  const { error } = JSON.parse(new TextDecoder().decode(answer.body)) as { readonly error: { readonly code: string } }
  expect([answer.status, error.code]).toEqual([408, "body_timed_out"])
  expect(counted("body")).toBe(1)
})
