import { expect, test } from "bun:test"
import { startScriptedPod } from "../lib/recordedPod.ts"
import type { PodConnection } from "../lib/rawPod.ts"
import { rawRequest } from "../lib/rawHttp.ts"
import { startTestGateway } from "../lib/testGateway.ts"

const head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
const chunked = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`

test("600 streams are open at once, each with its own bytes", async () => {
  const count = 600
  const open: Array<{ readonly connection: PodConnection; readonly prompt: string }> = []
  const allOpen = Promise.withResolvers<void>()
  const pod = startScriptedPod((request, connection) => {
    const { prompt } = JSON.parse(new TextDecoder().decode(request.body)) as { prompt: string }
    connection.send(head + chunked(`data: ${prompt} begins\n\n`))
    open.push({ connection, prompt })
    if (open.length === count) allOpen.resolve()
  })
  const gateway = await startTestGateway({ pods: [pod.url] })
  await gateway.healthyPods(1)
  // On plain sockets, since this process's own fetch has at most 256 connections.
  const ask = async (i: number): Promise<string> => {
    const body = JSON.stringify({ model: "tiny", prompt: `stream ${i}`, max_tokens: 8, stream: true })
    const headers = { "content-type": "application/json" }
    const answer = await rawRequest(gateway.url, { method: "POST", path: "/v1/completions", headers, body })
    return new TextDecoder().decode(answer.body)
  }
  const answers = Array.from({ length: count }, (_, i) => ask(i))
  await allOpen.promise
  expect(gateway.handle.openRequests()).toBe(count)
  for (const { connection, prompt } of open) connection.send(`${chunked(`data: ${prompt} ends\n\n`)}0\r\n\r\n`)
  expect(await Promise.all(answers)).toEqual(
    Array.from({ length: count }, (_, i) => `data: stream ${i} begins\n\ndata: stream ${i} ends\n\n`)
  )
  await gateway.becomesIdle()
  await gateway.stop()
  pod.stop()
}, 30_000)
