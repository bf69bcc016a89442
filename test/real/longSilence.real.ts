import { expect, test } from "bun:test"
import { textOf } from "../lib/rawHttp.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { streamCompletion } from "../lib/streamCompletion.ts"
import { event, streamEnd, streamHead } from "../lib/streamedAnswer.ts"
import { startTestGateway } from "../lib/testGateway.ts"

/** Longer than the 10 s after which Bun.serve cuts a silent connection unless told otherwise. */
const silenceMs = 15_000

const pauses = [
  { where: "before the first byte", before: true },
  { where: "in mid-stream", before: false }
]

test.concurrent.each(pauses)("a silence of 15 s $where is not cut", async ({ before }) => {
  const pod = startScriptedPod((_request, connection) => {
    if (!before) connection.send(streamHead + event("one"))
    setTimeout(() => {
      if (before) connection.send(streamHead + event("one"))
      connection.send(event("two") + streamEnd)
    }, silenceMs)
  })
  const gateway = await startTestGateway({ pods: [pod.url] })
  await gateway.healthyPods(1)
  const answer = await streamCompletion(gateway.url, "wait")
  expect(textOf(answer)).toBe("data: one\n\ndata: two\n\n")
  await gateway.stop()
  pod.stop()
}, 40_000)
