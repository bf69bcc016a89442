import { expect, test } from "bun:test"
import { headerOf, type RawResponse, textOf } from "../lib/rawHttp.ts"
import type { PodConnection, RawPod } from "../lib/rawPod.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { streamCompletion } from "../lib/streamCompletion.ts"
import { event, streamEnd, streamHead } from "../lib/streamedAnswer.ts"
import { startTestGateway } from "../lib/testGateway.ts"

test("a pod that dies loses its streams and nobody else's, and new requests go round it", async () => {
  const streamCount = 12
  const held = new Map<RawPod, Array<PodConnection>>()
  const allOpen = Promise.withResolvers<void>()
  let holding = true
  const startPod = (): RawPod => {
    const connections: Array<PodConnection> = []
    const pod = startScriptedPod((_request, connection) => {
      connection.send(streamHead + event("one"))
      if (!holding) return connection.send(streamEnd)
      connections.push(connection)
      if ([...held.values()].flat().length === streamCount) allOpen.resolve()
    })
    held.set(pod, connections)
    return pod
  }
  const pods = Array.from({ length: 3 }, startPod)
  const gateway = await startTestGateway({ pods: pods.map((pod) => pod.url), policy: "round-robin" })
  await gateway.healthyPods(3)
  const answers = Array.from(
    { length: streamCount },
    (_, i) => streamCompletion(gateway.url, `story ${i}`)
  )
  await allOpen.promise
  const [victim, ...others] = pods
  if (victim === undefined) throw new Error("no pod was started")
  victim.stop()
  for (const pod of others) {
    for (const connection of held.get(pod) ?? []) connection.send(event("two") + streamEnd)
  }
  const ended = await Promise.all(answers)
  expect(ended.filter((answer) => !answer.complete)).toEqual([])
  const isCut = (answer: RawResponse): boolean => textOf(answer).startsWith("data: one\n\ndata: {\"error\":{")
  expect(ended.filter(isCut)).toHaveLength(streamCount / 3)
  const whole = ended.filter((answer) => !isCut(answer))
  expect(whole.map((answer) => textOf(answer))).toEqual(
    whole.map(() => "data: one\n\ndata: two\n\n")
  )

  // At once, before any probe can have noticed: a refused connection is tried on another pod.
  holding = false
  for (let i = 0; i < 9; i++) {
    const answer = await streamCompletion(gateway.url, `after ${i}`)
    expect(answer.status).toBe(200)
    expect(answer.complete).toBe(true)
  }
  await gateway.healthyPods(2)
  await gateway.becomesIdle()
  await gateway.stop()
  for (const pod of others) pod.stop()
})

test("a pod that died unnoticed costs no request", async () => {
  const startPod = (): RawPod =>
    startScriptedPod((_request, connection) => connection.send(streamHead + event("one") + streamEnd))
  const [victim, other] = [startPod(), startPod()]
  const gateway = await startTestGateway({
    pods: [victim.url, other.url],
    policy: "round-robin",
    config: { scrape: { interval: "10 minutes" } }
  })
  await gateway.healthyPods(2)
  victim.stop()
  const otherId = new URL(other.url).host
  for (let i = 0; i < 6; i++) {
    const answer = await streamCompletion(gateway.url, `unnoticed ${i}`)
    expect(answer.status).toBe(200)
    expect(headerOf(answer.headers, "x-warmroute-pod")).toBe(otherId)
  }
  await gateway.becomesIdle()
  await gateway.stop()
  other.stop()
})

test("a pod at which requests fail is looked at at once, however long it is to its next scrape", async () => {
  const startPod = (): RawPod => startScriptedPod((_request, connection) => connection.send(streamHead + streamEnd))
  const pods = [startPod(), startPod()]
  const gateway = await startTestGateway({
    pods: pods.map((pod) => pod.url),
    policy: "round-robin",
    config: { scrape: { interval: "1 minute" } }
  })
  await gateway.healthyPods(2)
  pods[0]?.stop()
  for (let i = 0; i < 12; i++) expect((await streamCompletion(gateway.url, `after ${i}`)).status).toBe(200)
  await gateway.healthyPods(1)
  await gateway.stop()
  pods[1]?.stop()
})
