import { expect, test } from "bun:test"
import { eventually } from "../lib/eventually.ts"
import type { PodConnection } from "../lib/rawPod.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { event, streamEnd, streamHead } from "../lib/streamedAnswer.ts"
import { emulatedModel, startTestFleet } from "../lib/testFleet.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"

const ask = ({ url }: TestGateway, model: string): Promise<Response> =>
  fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, prompt: "word ".repeat(4000), stream: true })
  })

const waits = ({ url }: TestGateway, name: string, count: number) =>
  eventually(
    `${name} ${count}`,
    async () => (await (await fetch(`${url}/metrics`)).text()).includes(`warmroute_${name} ${count}\n`)
  )

test("requests for a model that has no pod give way to those for one that has, when no more can wait", async () => {
  const held: Array<PodConnection> = []
  const well = startScriptedPod((_request, connection) => void held.push(connection))
  const lost = await startTestFleet(1)
  const gateway = await startTestGateway({
    pods: [well.url, ...lost.urls],
    config: {
      waiting: { requestsMax: 3, podQueueMax: "1 milli", podlessTimeout: "10 minutes" },
      auth: { insecure: true }
    }
  })
  await gateway.healthyPods(2)
  await lost.stop()
  await gateway.healthyPods(1)
  const podless = [1, 2, 3].map(() => ask(gateway, emulatedModel))
  await waits(gateway, "waiting_podless_requests", 3)
  const first = ask(gateway, "tiny")
  await eventually("one at the pod", () => held.length === 1)
  const second = ask(gateway, "tiny")
  const givenUp = await Promise.race(podless)
  expect(givenUp.status).toBe(503)
  expect(await givenUp.json()).toMatchObject({ error: { code: "no_pod_available" } })
  expect(Number(givenUp.headers.get("retry-after"))).toBeGreaterThanOrEqual(1)
  await waits(gateway, "waiting_podless_requests", 2)
  await waits(gateway, "waiting_requests{band=\"0\"}", 3)
  for (const answer of [first, second]) {
    await eventually("the next at the pod", () => held.length === 1)
    held.shift()?.send(streamHead + event("one") + streamEnd)
    expect((await answer).status).toBe(200)
    await (await answer).text()
  }
  // One that has no pod either pushes nobody out.
  const third = ask(gateway, "tiny")
  await eventually("one at the pod", () => held.length === 1)
  podless.push(ask(gateway, emulatedModel))
  await waits(gateway, "waiting_podless_requests", 3)
  expect((await ask(gateway, emulatedModel)).status).toBe(503)
  held.shift()?.send(streamHead + event("one") + streamEnd)
  await (await third).text()
  await gateway.stop()
  expect((await Promise.all(podless)).map(({ status }) => status)).toEqual([503, 503, 503, 503])
  well.stop()
})
