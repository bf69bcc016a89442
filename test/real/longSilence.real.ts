import { expect, test } from "bun:test"
import { startScriptedPod } from "../lib/recordedPod.ts"
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
  const response = await fetch(`${gateway.url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "tiny", prompt: "wait", max_tokens: 8, stream: true })
  })
  expect(await response.text()).toBe("data: one\n\ndata: two\n\n")
  await gateway.stop()
  pod.stop()
}, 40_000)
