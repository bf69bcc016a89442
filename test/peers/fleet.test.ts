import { describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { podAddress } from "../../src/core/Pod.ts"
import type { PodStatus } from "../../actors/PoolView.ts"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import { readiness } from "../../src/http/statusRoutes.ts"
import { eventually } from "../lib/eventually.ts"
import { emulatedModel, startTestFleet } from "../lib/testFleet.ts"
import { startTestGateway } from "../lib/testGateway.ts"
import { pod, policyOf } from "../policies/fleet.ts"
import { blocks, countsOf, fleetOfPods, placed, podOf, prompt, served, servedBy } from "./fleetOfPods.ts"

// vllm-project/production-stack#915, #916
describe("round robin", () => {
  test("is fair to the pods of each model, whatever is asked of other models in between", () => {
    const scheduler = fleetOfPods(4)
    scheduler.replacePolicy(policyOf({ type: "round-robin" }))
    for (const index of [0, 1]) scheduler.describe(pod(index).id, 16, 100_000, ["a"])
    for (const index of [2, 3]) scheduler.describe(pod(index).id, 16, 100_000, ["b"])
    const picks = Array.from({ length: 40 }, (_, i) => {
      const model = i % 2 === 0 ? "a" : "b"
      return podOf(placed(scheduler, { ...prompt(blocks(i, 10)), model }))
    })
    expect(countsOf(4, picks)).toEqual([10, 10, 10, 10])
  })

  test("does not send models that are asked for once all to the first pod, nor remembers them for ever", () => {
    const scheduler = fleetOfPods(4)
    const models = Array.from({ length: 8 }, (_, i) => `adapter-${i}`)
    for (let index = 0; index < 4; index++) scheduler.describe(pod(index).id, 16, 100_000, models)
    scheduler.replacePolicy(policyOf({ type: "round-robin", parameters: { modelsMax: 2 } }))
    const picks = models.map((model) => podOf(placed(scheduler, { ...prompt(blocks(1, 10)), model })))
    expect(countsOf(4, picks)).toEqual([2, 2, 2, 2])
  })
})

// kubernetes-sigs/gateway-api-inference-extension#1952, #1800; vllm-project/aibrix#476; envoyproxy/ai-gateway#2327
test("a fleet scaled to zero takes a request, shows it as waiting, and serves it when the first pod comes", async () => {
  const directory = mkdtempSync(join(tmpdir(), "warmroute-zero-"))
  const podsFile = join(directory, "pods.yaml")
  writeFileSync(podsFile, "pods: []\n")
  const fleet = await startTestFleet(1)
  const gateway = await startTestGateway({ podsFile })
  const answer = fetch(`${gateway.url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: emulatedModel, prompt: "hello", max_tokens: 2 })
  })
  const page = async (): Promise<string> => (await fetch(`${gateway.url}/metrics`)).text()
  await eventually("it waits", async () => (await page()).includes(`warmroute_waiting_requests{band="0"} 1\n`))
  writeFileSync(podsFile, `pods:\n  - url: ${fleet.urls[0]}\n`)
  const { status, headers } = await answer
  expect([status, headers.get("x-warmroute-pod")]).toEqual([200, new URL(fleet.urls[0]!).host])
  await gateway.becomesIdle()
  await gateway.stop()
  await fleet.stop()
  rmSync(directory, { recursive: true })
})

describe("adapters", () => {
  // vllm-project/production-stack#331, #708; vllm-project/aibrix#801; kubeai-project/kubeai#132
  test("that a pod loads or unloads are asked for there from then on, or no more", () => {
    const scheduler = fleetOfPods(3)
    const ask = () => scheduler.pick({ ...prompt(blocks(1, 100)), model: "sql" }, [], 0)
    const where = () => {
      const placement = ask()
      return typeof placement === "string" ? placement : podOf(placement)
    }
    expect(where()).toBe("unknown-model")
    scheduler.describe(pod(1).id, 16, 100_000, ["m", "sql"])
    expect([where(), where()]).toEqual([1, 1])
    scheduler.describe(pod(2).id, 16, 100_000, ["m", "sql"])
    scheduler.describe(pod(1).id, 16, 100_000, ["m"])
    expect([where(), where()]).toEqual([2, 2])
    scheduler.describe(pod(2).id, 16, 100_000, ["m"])
    expect(where()).toBe("unknown-model")
  })
})

// kubeai-project/kubeai#256
test("one model on two kinds of hardware is served by both, each by what it can", () => {
  const scheduler = fleetOfPods(4)
  for (const index of [2, 3]) scheduler.recalibrate(pod(index).id, hardwarePresets["small"]!)
  const picks = Array.from({ length: 60 }, (_, i) => podOf(placed(scheduler, prompt(blocks(i, 100)))))
  const counts = countsOf(4, picks)
  expect(Math.min(...counts)).toBeGreaterThan(0)
  expect(counts[0]! + counts[1]!).toBeGreaterThan(2 * (counts[2]! + counts[3]!))
})

// vllm-project/aibrix#2331; llm-d/llm-d-router#750: several servers, or data-parallel ranks, behind the ports of one host
test("servers on one host are pods of their own: models, metrics and caches do not mix", () => {
  const scheduler = fleetOfPods(2)
  const { id } = pod(1)
  scheduler.describe(id, 16, 100_000, ["m", "other"])
  scheduler.observe(id, true, 9, 4, 0.8, 1)
  const { table } = scheduler
  expect([table.observedRunning[0], table.observedWaiting[0], table.observedKvUsage[0]]).toEqual([0, 0, 0])
  servedBy(scheduler, 1, prompt(blocks(1, 100)), 1)
  expect(scheduler.explain(prompt(blocks(1, 100)), 2).pods.map(({ hitTokens }) => hitTokens)).toEqual([0, 1600])
  expect(podOf(placed(scheduler, { ...prompt(blocks(2, 10)), model: "other" }, 2))).toBe(1)
})

describe("a large fleet", () => {
  const podsMax = 3000

  // lightseekorg/smg#1706: 2,048 pods and no more
  test("has 3,000 pods, the last of them as good as the first", () => {
    const scheduler = fleetOfPods(podsMax, { podsMax })
    const last = podsMax - 1
    servedBy(scheduler, last, prompt(blocks(1, 200)))
    const placement = placed(scheduler, prompt(blocks(1, 200)), 1)
    expect(podOf(placement)).toBe(last)
    expect(placement.hitTokens).toBe(3200)
    served(scheduler, placement, 2)
    expect(scheduler.openRequests).toBe(0)
  })

  // lightseekorg/smg#1711
  test("that is ill as a whole makes no long answer at /readyz", async () => {
    const statuses = Array.from({ length: podsMax }, (_, index): PodStatus => ({
      address: podAddress("10.0.0.1", index + 1, false),
      health: "unhealthy",
      reason: "it does not answer",
      models: [],
      version: undefined
    }))
    const answer = readiness(
      { pods: () => statuses, signs: () => undefined, hasOther: () => false, models: () => [] },
      false,
      true
    )
    expect(answer.status).toBe(503)
    expect((await answer.text()).length).toBeLessThan(2000)
  })
})
