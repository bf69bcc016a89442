import { expect, test } from "bun:test"
import { Effect } from "effect"
import type { PodConnection, RawPod } from "../lib/rawPod.ts"
import { eventually } from "../lib/eventually.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { event, streamEnd, streamHead } from "../lib/streamedAnswer.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"

/** A pod that keeps every request until it is told to answer, behind a gateway that queues nothing there. */
const startBusyPod = async (waiting: Readonly<Record<string, unknown>> = {}) => {
  const held: Array<PodConnection> = []
  const pod: RawPod = startScriptedPod((_request, connection) => void held.push(connection))
  const config = { waiting: { podQueueMax: "1 milli", ...waiting }, auth: { insecure: true } }
  const gateway = await startTestGateway({ pods: [pod.url], config })
  await gateway.healthyPods(1)
  const answerNext = (): void => held.shift()?.send(streamHead + event("one") + streamEnd)
  return { held, pod, gateway, answerNext }
}

const ask = (
  { url }: TestGateway,
  headers: Record<string, string> = {},
  signal: AbortSignal | null = null
): Promise<Response> =>
  fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ prompt: "word ".repeat(4000), stream: true }),
    signal
  })

const metric = async ({ url }: TestGateway, line: string): Promise<boolean> =>
  (await (await fetch(`${url}/metrics`)).text()).includes(`${line}\n`)

const waits = (gateway: TestGateway, count: number) =>
  eventually(`${count} waiting`, () => metric(gateway, `warmroute_waiting_requests{band="0"} ${count}`))

test("a request waits at the gateway while the pod is busy, and goes on when it is not", async () => {
  const { answerNext, gateway, held, pod } = await startBusyPod()
  const first = ask(gateway)
  await eventually("one at the pod", () => held.length === 1)
  const second = ask(gateway)
  await waits(gateway, 1)
  expect(held.length).toBe(1)
  answerNext()
  expect((await first).status).toBe(200)
  await eventually("the second at the pod", () => held.length === 1)
  answerNext()
  expect((await second).status).toBe(200)
  await gateway.becomesIdle()
  await gateway.stop()
  pod.stop()
})

test("a client that leaves while its request waits frees its place, and no pod ever sees the request", async () => {
  const { answerNext, gateway, held, pod } = await startBusyPod()
  const first = ask(gateway)
  await eventually("one at the pod", () => held.length === 1)
  const client = new AbortController()
  const second = ask(gateway, {}, client.signal).catch(() => "left")
  await waits(gateway, 1)
  client.abort()
  expect(await second).toBe("left")
  await waits(gateway, 0)
  await eventually("booked", () => metric(gateway, `warmroute_waits_total{band="0",outcome="client-left"} 1`))
  answerNext()
  await (await first).text()
  await gateway.becomesIdle()
  expect(pod.seen.filter(({ path }) => path === "/v1/completions").length).toBe(1)
  await gateway.stop()
  pod.stop()
})

test("a request whose time is up gets 429 with the reason and Retry-After", async () => {
  const { answerNext, gateway, held, pod } = await startBusyPod()
  const first = ask(gateway)
  await eventually("one at the pod", () => held.length === 1)
  const refused = await ask(gateway, { "x-warmroute-deadline-ms": "30" })
  expect(refused.status).toBe(429)
  expect(await refused.json()).toMatchObject({ error: { code: "queue_timeout", type: "rate_limit_error" } })
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1)
  answerNext()
  await (await first).text()
  await gateway.stop()
  pod.stop()
})

test("at a stop those that wait still go on within the grace", async () => {
  const { answerNext, gateway, held, pod } = await startBusyPod()
  const first = ask(gateway)
  await eventually("one at the pod", () => held.length === 1)
  const second = ask(gateway)
  await waits(gateway, 1)
  const drained = Bun.sleep(0).then(() => Effect.runPromise(gateway.handle.drain(5000)))
  answerNext()
  await eventually("the second at the pod", () => held.length === 1)
  answerNext()
  const answers = await Promise.all([first, second])
  expect(answers.map(({ status }) => status)).toEqual([200, 200])
  await Promise.all(answers.map((answer) => answer.text()))
  await drained
  await gateway.stop()
  pod.stop()
})
