import { expect, test } from "bun:test"
import { Effect } from "effect"
import { eventually } from "../lib/eventually.ts"
import { openStream } from "../lib/heardStream.ts"
import { emulatedModel, startTestFleet, type TestFleet } from "../lib/testFleet.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"

/** A gateway whose only pod is not there, and how that pod comes. */
const startWithoutPod = async (waiting: Readonly<Record<string, unknown>> = {}) => {
  const gone = await startTestFleet(1)
  const url = gone.urls[0]!
  await gone.stop()
  const config = { waiting: { podlessTimeout: "1 minute", ...waiting }, auth: { insecure: true } }
  const gateway = await startTestGateway({ pods: [url], config })
  const podComes = (): Promise<TestFleet> => startTestFleet(1, {}, Number(new URL(url).port))
  return { gateway, podComes }
}

const ask = (
  { url }: TestGateway,
  signal: AbortSignal | null = null,
  headers = {},
  outputTokens = 3
): Promise<Response> =>
  fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: emulatedModel, prompt: "once", max_tokens: outputTokens }),
    signal
  })

const metric = async ({ url }: TestGateway, line: string): Promise<boolean> =>
  (await (await fetch(`${url}/metrics`)).text()).includes(`${line}\n`)

const waits = (gateway: TestGateway, count: number) =>
  eventually(`${count} waiting`, () => metric(gateway, `warmroute_waiting_requests{band="0"} ${count}`))

const outcome = (gateway: TestGateway, word: string, count = 1) =>
  eventually(word, () => metric(gateway, `warmroute_waits_total{band="0",outcome="${word}"} ${count}`))

test("a request that comes while all pods are away is answered when one is back", async () => {
  const { gateway, podComes } = await startWithoutPod()
  const answer = ask(gateway)
  await waits(gateway, 1)
  expect((await fetch(`${gateway.url}/readyz`)).status).toBe(503)
  const fleet = await podComes()
  expect((await answer).status).toBe(200)
  await (await answer).text()
  await outcome(gateway, "placed")
  await gateway.becomesIdle()

  await fleet.stop()
  await gateway.healthyPods(0)
  const again = ask(gateway)
  await waits(gateway, 1)
  const back = await podComes()
  expect((await again).status).toBe(200)
  await (await again).text()
  await gateway.stop()
  await back.stop()
})

test("a request whose pod dies under it, the only one, is answered by the process that follows", async () => {
  const { gateway, podComes } = await startWithoutPod()
  const fleet = await podComes()
  await gateway.healthyPods(1)
  const answers = Array.from({ length: 4 }, () => ask(gateway, null, {}, 400))
  await eventually("all at the pod", () => gateway.handle.openRequests() === 4)
  await fleet.stop()
  await gateway.healthyPods(0)
  const back = await podComes()
  for (const answer of await Promise.all(answers)) {
    expect(answer.status).toBe(200)
    await answer.text()
  }
  await outcome(gateway, "placed", 4)
  await gateway.becomesIdle()
  await gateway.stop()
  await back.stop()
})

test("all pods die at once, and what they had in hand is answered by those that follow", async () => {
  const fleets = await Promise.all(Array.from({ length: 4 }, () => startTestFleet(1)))
  const urls = fleets.flatMap((fleet) => fleet.urls)
  const limits = { retryShare: 0, retryBurst: 8, retriesMax: 1 }
  const config = { limits, rescue: { attemptsMax: 1 }, waiting: { podlessTimeout: "1 minute" } }
  const gateway = await startTestGateway({ pods: urls, policy: "round-robin", config })
  await gateway.healthyPods(4)
  const body = { model: emulatedModel, prompt: "once", max_tokens: 2000, ignore_eos: true, stream: true }
  const streams = Array.from({ length: 8 }, () => openStream(gateway.url, { path: "/v1/completions", body }))
  const answers = Array.from({ length: 8 }, () => ask(gateway, null, {}, 2000))
  await Promise.all(streams)
  await eventually("all at the pods", () => gateway.handle.openRequests() === 16)
  await Promise.all(fleets.map((fleet) => fleet.stop()))
  await waits(gateway, 16)
  const back = await Promise.all(urls.map((url) => startTestFleet(1, {}, Number(new URL(url).port))))
  for (const answer of await Promise.all(answers)) {
    expect([answer.status, (await answer.text()).length > 0]).toEqual([200, true])
  }
  for (const stream of await Promise.all(streams)) {
    expect(await stream.end).toMatchObject({ isWhole: true, error: undefined, finishReason: "length" })
  }
  await gateway.becomesIdle()
  await gateway.stop()
  await Promise.all(back.map((fleet) => fleet.stop()))
})

test("a client that leaves while its request waits for a pod frees its place", async () => {
  const { gateway } = await startWithoutPod()
  const client = new AbortController()
  const answer = ask(gateway, client.signal).catch(() => "left")
  await waits(gateway, 1)
  client.abort()
  expect(await answer).toBe("left")
  await waits(gateway, 0)
  await outcome(gateway, "client-left")
  await gateway.stop()
})

test("a request waits for a pod no longer than the setting and its client say, then gets 503 with Retry-After", async () => {
  const { gateway } = await startWithoutPod({ podlessTimeout: "50 millis" })
  const refused = await ask(gateway)
  expect(refused.status).toBe(503)
  expect(await refused.json()).toMatchObject({ error: { code: "no_pod_available" } })
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1)
  await gateway.stop()
  const patient = await startWithoutPod()
  expect((await ask(patient.gateway, null, { "x-warmroute-deadline-ms": "30" })).status).toBe(503)
  await patient.gateway.stop()
})

test("at once where nobody waits at the gateway", async () => {
  const { gateway } = await startWithoutPod({ enabled: false })
  expect((await ask(gateway)).status).toBe(503)
  expect(await metric(gateway, `warmroute_waiting_requests{band="0"} 0`)).toBe(true)
  await gateway.stop()
})

test("at a stop a request that waits for a pod still goes on within the grace", async () => {
  const { gateway, podComes } = await startWithoutPod()
  const answer = ask(gateway)
  await waits(gateway, 1)
  const drained = Bun.sleep(0).then(() => Effect.runPromise(gateway.handle.drain(10_000)))
  const fleet = await podComes()
  expect((await answer).status).toBe(200)
  await (await answer).text()
  await drained
  await gateway.stop()
  await fleet.stop()
})

test("at a stop a request that waits for a pod is let go after the grace", async () => {
  const { gateway } = await startWithoutPod()
  const answer = ask(gateway)
  await waits(gateway, 1)
  await Effect.runPromise(gateway.handle.drain(50))
  expect((await answer).status).toBe(503)
  expect(await (await answer).json()).toMatchObject({ error: { code: "gateway_stopping" } })
  await gateway.stop()
})
