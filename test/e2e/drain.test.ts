import { expect, test } from "bun:test"
import { Effect } from "effect"
import { rawRequest } from "../lib/rawHttp.ts"
import type { PodConnection } from "../lib/rawPod.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { event, streamEnd, streamHead } from "../lib/streamedAnswer.ts"
import { startTestGateway } from "../lib/testGateway.ts"

const ask = (url: string) =>
  rawRequest(url, {
    method: "POST",
    path: "/v1/completions",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "tiny", prompt: "hello", max_tokens: 4, stream: true })
  })

const setUp = async () => {
  const taken = Promise.withResolvers<PodConnection>()
  const pod = startScriptedPod((_request, connection) => {
    connection.send(streamHead + event("one"))
    taken.resolve(connection)
  })
  const gateway = await startTestGateway({ pods: [pod.url] })
  await gateway.healthyPods(1)
  const streaming = ask(gateway.url)
  const connection = await taken.promise
  return { pod, gateway, streaming, connection }
}

test("a gateway that drains takes no new request and lets the running stream end", async () => {
  const { connection, gateway, pod, streaming } = await setUp()
  const drained = Effect.runPromise(gateway.handle.drain(10_000))
  const refused = await ask(gateway.url).then((answer) => answer.status, () => "no connection")
  expect(["no connection", 503]).toContain(refused)
  connection.send(event("two") + streamEnd)
  const answer = await streaming
  expect(new TextDecoder().decode(answer.body)).toBe("data: one\n\ndata: two\n\n")
  expect(answer.complete).toBe(true)
  await drained
  await gateway.stop()
  pod.stop()
})

test("a stream that outlives the grace is cut, not left to hold up the stop", async () => {
  const { connection, gateway, pod, streaming } = await setUp()
  await Effect.runPromise(gateway.handle.drain(50))
  expect((await streaming).complete).toBe(false)
  await connection.closed
  await gateway.stop()
  pod.stop()
})
