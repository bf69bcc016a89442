import { expect, test } from "bun:test"
import { Effect } from "effect"
import { textOf } from "../lib/rawHttp.ts"
import type { PodConnection } from "../lib/rawPod.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { streamCompletion } from "../lib/streamCompletion.ts"
import { event, streamEnd, streamHead } from "../lib/streamedAnswer.ts"
import { startTestGateway } from "../lib/testGateway.ts"

const setUp = async () => {
  const taken = Promise.withResolvers<PodConnection>()
  const pod = startScriptedPod((_request, connection) => {
    connection.send(streamHead + event("one"))
    taken.resolve(connection)
  })
  const gateway = await startTestGateway({ pods: [pod.url] })
  await gateway.healthyPods(1)
  const streaming = streamCompletion(gateway.url, "hello")
  const connection = await taken.promise
  return { pod, gateway, streaming, connection }
}

test("a gateway that drains takes no new request and lets the running stream end", async () => {
  const { connection, gateway, pod, streaming } = await setUp()
  const drained = Effect.runPromise(gateway.handle.drain(10_000))
  const refused = await streamCompletion(gateway.url, "hello").then((answer) => answer.status, () => "no connection")
  expect(["no connection", 503]).toContain(refused)
  connection.send(event("two") + streamEnd)
  const answer = await streaming
  expect(textOf(answer)).toBe("data: one\n\ndata: two\n\n")
  expect(answer.complete).toBe(true)
  await drained
  await gateway.stop()
  pod.stop()
})

test("a stream that outlives the grace ends with an error event, and its pod hears of it", async () => {
  const { connection, gateway, pod, streaming } = await setUp()
  await Effect.runPromise(gateway.handle.drain(50))
  const answer = await streaming
  expect(answer.complete).toBe(true)
  expect(textOf(answer)).toStartWith(`data: one\n\ndata: {"error":{"message":"this gateway is stopping`)
  expect(gateway.handle.openRequests()).toBe(0)
  await connection.closed
  await gateway.stop()
  pod.stop()
})

test("a gateway that ends without a grace, as when its scheduler is lost, ends streams in the same way", async () => {
  const { connection, gateway, pod, streaming } = await setUp()
  await gateway.stop()
  const answer = await streaming
  expect([answer.complete, textOf(answer).includes(`"code":"gateway_stopping"`)]).toEqual([true, true])
  await connection.closed
  pod.stop()
})

test("a second stop shortens the time that the first gave", async () => {
  const { gateway, pod, streaming } = await setUp()
  const drained = Effect.runPromise(gateway.handle.drain(3_600_000))
  await Effect.runPromise(gateway.handle.drain(0))
  await drained
  expect((await streaming).complete).toBe(true)
  await gateway.stop()
  pod.stop()
})
