import { expect, test } from "bun:test"
import { startScriptedPod } from "../lib/recordedPod.ts"
import type { PodConnection } from "../lib/rawPod.ts"
import { textOf } from "../lib/rawHttp.ts"
import { streamCompletion } from "../lib/streamCompletion.ts"
import { event, streamEnd, streamHead } from "../lib/streamedAnswer.ts"
import { startTestGateway } from "../lib/testGateway.ts"

test("600 streams are open at once, each with its own bytes", async () => {
  const count = 600
  const open: Array<{ readonly connection: PodConnection; readonly prompt: string }> = []
  const allOpen = Promise.withResolvers<void>()
  const pod = startScriptedPod((request, connection) => {
    const { prompt } = JSON.parse(textOf(request)) as { prompt: string }
    connection.send(streamHead + event(`${prompt} begins`))
    open.push({ connection, prompt })
    if (open.length === count) allOpen.resolve()
  })
  // The recorded pod has KV for some 500 requests, and a gateway that knows lets the others wait.
  const gateway = await startTestGateway({ pods: [pod.url], config: { waiting: { enabled: false } } })
  await gateway.healthyPods(1)
  // On plain sockets, since this process's own fetch has at most 256 connections.
  const ask = async (i: number): Promise<string> => textOf(await streamCompletion(gateway.url, `stream ${i}`))
  const answers = Array.from({ length: count }, (_, i) => ask(i))
  await allOpen.promise
  expect(gateway.handle.openRequests()).toBe(count)
  for (const { connection, prompt } of open) connection.send(event(`${prompt} ends`) + streamEnd)
  expect(await Promise.all(answers)).toEqual(
    Array.from({ length: count }, (_, i) => `data: stream ${i} begins\n\ndata: stream ${i} ends\n\n`)
  )
  await gateway.becomesIdle()
  await gateway.stop()
  pod.stop()
}, 30_000)
