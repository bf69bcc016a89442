import { expect, test } from "bun:test"
import { Measurements } from "../../src/simulator/Measurements.ts"
import type { PodConnection } from "../lib/rawPod.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { event, streamEnd, streamHead } from "../lib/streamedAnswer.ts"
import { startTestGateway } from "../lib/testGateway.ts"

// A router that sheds looks fast, as what it refused has no latency (ai-dynamo/dynamo's published comparison).
test("what was refused counts against the objective of a simulated run", () => {
  const measurements = new Measurements()
  const good = { stage: 0, arrivedS: 0, ttftS: 0.1, tpotS: 0.01, endS: 1, promptTokens: 1, cachedTokens: 0 }
  for (let i = 0; i < 3; i++) measurements.add({ ...good, outputTokens: 10 })
  measurements.refused = 1
  expect(measurements.summary()).toMatchObject({ requests: 3, refused: 1, sloShare: 0.75 })
})

// llm-d/llm-d-router#2047, #1751
test("what the gateway refuses is counted as a request with its status, and says why in a word for machines", async () => {
  const held = Promise.withResolvers<PodConnection>()
  const pod = startScriptedPod((_request, connection) => held.resolve(connection))
  const gateway = await startTestGateway({ pods: [pod.url], config: { limits: { openRequestsMax: 1 } } })
  await gateway.healthyPods(1)
  const ask = () =>
    fetch(`${gateway.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "tiny", prompt: "hi", stream: true })
    })
  const first = ask()
  const connection = await held.promise
  const refused = await ask()
  expect([refused.status, Number(refused.headers.get("retry-after"))]).toEqual([429, 1])
  expect(await refused.json()).toMatchObject({ error: { code: "too_many_open_requests", type: "rate_limit_error" } })
  connection.send(streamHead + event("[DONE]") + streamEnd)
  await (await first).text()
  await gateway.becomesIdle()
  const page = await (await fetch(`${gateway.url}/metrics`)).text()
  expect(page).toContain(`warmroute_requests_total{route="/v1/completions",code="429"} 1\n`)
  expect(page).toContain(`warmroute_requests_total{route="/v1/completions",code="200"} 1\n`)
  await gateway.stop()
  pod.stop()
})
