import { describe, expect, test } from "bun:test"
import { Duration, Effect } from "effect"
import { decodeConfig } from "../../config/decodeConfig.ts"
import { forEachSample } from "../../src/vllm/expositionText.ts"
import { metricsTextLimits, readPodMetrics } from "../../src/vllm/MetricsText.ts"
import { rawRequest } from "../lib/rawHttp.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { startTestGateway } from "../lib/testGateway.ts"
import { pod } from "../policies/fleet.ts"
import { blocks, countsOf, fleetOfPods, placed, podOf, prompt, sentTo, served, servedBy } from "./fleetOfPods.ts"

const spread = (counts: ReadonlyArray<number>): number => Math.max(...counts) - Math.min(...counts)

describe("a wave of requests between two scrapes", () => {
  // llm-d/llm-d-router#298, #2066: each pick must see the ones just before it
  test("is shared by all pods, since each pick counts at once", () => {
    const scheduler = fleetOfPods(8)
    const picks = Array.from({ length: 64 }, (_, i) => podOf(placed(scheduler, prompt(blocks(i, 100)))))
    expect(spread(countsOf(8, picks))).toBeLessThanOrEqual(1)
  })

  // vllm-project/router#178: the pod that looked idle when it was asked last
  test("does not follow what the last scrape said of one pod", () => {
    const scheduler = fleetOfPods(8)
    for (let index = 1; index < 8; index++) {
      for (const nowS of [1, 2]) scheduler.observe(pod(index).id, true, 80, 0, 0.6, nowS)
    }
    const picks = Array.from({ length: 64 }, (_, i) => podOf(placed(scheduler, prompt(blocks(i, 100)), 2)))
    const counts = countsOf(8, picks)
    expect(picks[0]).toBe(0)
    expect(Math.min(...counts)).toBeGreaterThan(0)
    expect(Math.max(...counts)).toBeLessThan(64 / 4)
  })

  // ai-dynamo/dynamo#589: many gateways with the same picture of the fleet
  test("at gateways that know nothing of each other does not end at one pod", () => {
    const picks = Array.from({ length: 80 }, (_, gateway) => {
      const scheduler = fleetOfPods(8, { seed: gateway * 7919 + 1 })
      return podOf(placed(scheduler, prompt(blocks(gateway, 100))))
    })
    const counts = countsOf(8, picks)
    expect(Math.min(...counts)).toBeGreaterThan(0)
    expect(Math.max(...counts)).toBeLessThan(80 / 4)
  })
})

describe("scraping", () => {
  // llm-d/llm-d-router#1842, llm-d/llm-d#2118: metrics traffic that takes the pod's time
  test("is once a second, whatever the traffic", async () => {
    const config = await Effect.runPromise(decodeConfig([{ name: "test", values: {} }]))
    expect(Duration.toMillis(config.scrape.interval)).toBeGreaterThanOrEqual(1000)
    const pod = startScriptedPod((_request, connection) =>
      connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
    )
    const gateway = await startTestGateway({ pods: [pod.url], config: { scrape: { interval: "1 hour" } } })
    await gateway.healthyPods(1)
    const probes = () => pod.seen.filter(({ method }) => method === "GET").length
    const before = probes()
    for (let i = 0; i < 50; i++) {
      const body = JSON.stringify({ model: "tiny", prompt: `request ${i}` })
      const headers = { "content-type": "application/json" }
      expect((await rawRequest(gateway.url, { method: "POST", path: "/v1/completions", headers, body })).status).toBe(
        200
      )
    }
    expect(probes()).toBe(before)
    await gateway.stop()
    pod.stop()
  })

  // llm-d/llm-d-router#2195, #2473: garbage for every series of a page of which a dozen are wanted
  test("makes nothing of the series that are not wanted, however many there are", () => {
    const others = Array.from(
      { length: 50_000 },
      (_, i) => `vllm:time_to_first_token_seconds_bucket{engine="0",le="${i}",model_name="m"} ${i}`
    )
    const wanted = ["vllm:num_requests_running{engine=\"0\"} 3", "vllm:num_requests_waiting{engine=\"0\"} 4"]
    const text = [...others, ...wanted].join("\n")
    const visited: Array<string> = []
    const names = new Set(wanted.map((line) => line.slice(0, line.indexOf("{"))))
    forEachSample(text, names, metricsTextLimits, ({ name }) => void visited.push(name))
    expect(visited).toEqual([...names])
    expect(readPodMetrics(text)).toMatchObject({ running: 3, waiting: 4 })
  })
})

// vllm-project/router#197
test("a pod that is ill for a moment keeps the count of the requests that still run there", () => {
  const scheduler = fleetOfPods(2)
  const open = Array.from({ length: 5 }, (_, i) => sentTo(scheduler, 0, prompt(blocks(i, 100))))
  for (const { reservation } of open.slice(0, 3)) scheduler.firstToken(reservation, 1)
  const load = () => [scheduler.table.prefilling[0], scheduler.table.decoding[0], scheduler.table.prefillAheadTokens[0]]
  const before = load()
  scheduler.observe(pod(0).id, false, 0, 0, 0, 2)
  scheduler.observe(pod(0).id, true, 0, 0, 0, 3)
  expect(load()).toEqual(before)
  expect(podOf(placed(scheduler, prompt(blocks(99, 100)), 3))).toBe(1)
  for (const { reservation } of open) scheduler.end(reservation, {}, 4)
  expect(load()).toEqual([0, 0, 0])
})

describe("requests that come one after another, so that nothing is in flight when one is placed,", () => {
  // AMD-AGI/Infera#103: 448 to one pod, none to the other
  test.each([2, 8])("are shared by %d pods when their prompts are new", (pods) => {
    const scheduler = fleetOfPods(pods)
    const picks = Array.from({ length: 448 }, (_, i) => {
      const placement = placed(scheduler, prompt(blocks(i, 60)), i)
      served(scheduler, placement, i + 0.5)
      return podOf(placement)
    })
    expect(spread(countsOf(pods, picks))).toBeLessThanOrEqual(448 / pods / 10)
  })

  // ai-dynamo/dynamo#7836, #12300
  test("go by agents: each stays on its pod turn by turn, and the agents are on all of them", () => {
    const scheduler = fleetOfPods(4)
    const homes = Array.from({ length: 16 }, () => new Set<number>())
    for (let turn = 1; turn <= 10; turn++) {
      for (const [agent, home] of homes.entries()) {
        const nowS = turn * 16 + agent
        const placement = placed(scheduler, prompt(blocks(agent, 100 * turn)), nowS)
        served(scheduler, placement, nowS + 0.5)
        home.add(podOf(placement))
      }
    }
    expect(homes.map((home) => home.size)).toEqual(homes.map(() => 1))
    expect(countsOf(4, homes.flatMap((home) => Array.from(home)))).toEqual([4, 4, 4, 4])
  })
})

// ai-dynamo/dynamo#7753: the pod's KV use overwritten by the router's view of it, so that nothing was ever full
test("what a pod says of itself and what we sent there are two numbers that never overwrite each other", () => {
  const scheduler = fleetOfPods(1)
  const { reservation } = sentTo(scheduler, 0, prompt(blocks(1, 100)))
  const { table } = scheduler
  const ours = table.usedTokens[0]
  expect(ours).toBeGreaterThan(1000)
  scheduler.observe(pod(0).id, true, 7, 3, 0.93, 1)
  expect(table.usedTokens[0]).toBe(ours)
  scheduler.firstToken(reservation, 2)
  scheduler.end(reservation, { outputTokens: 5 }, 3)
  servedBy(scheduler, 0, prompt(blocks(2, 100)), 4)
  expect([table.observedKvUsage[0], table.observedRunning[0], table.observedWaiting[0]]).toEqual([0.93, 7, 3])
  expect(table.usedTokens[0]).toBe(0)
})
