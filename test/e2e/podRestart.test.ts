import { expect, test } from "bun:test"
import type { Explained } from "../../src/cli/explanationText.ts"
import { eventually } from "../lib/eventually.ts"
import { emulatedModel, startTestFleet } from "../lib/testFleet.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"

const body = JSON.stringify({
  model: emulatedModel,
  max_tokens: 3,
  messages: [{ role: "user", content: "A long conversation about the same thing. ".repeat(200) }]
})

const post = async (url: string): Promise<unknown> => {
  const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body })
  expect(answer.status).toBe(200)
  return answer.json()
}

/** What a pick for the prompt would expect of the only pod. */
const predictedHit = async ({ handle }: TestGateway): Promise<number | undefined> => {
  const { pods } = await post(`${handle.adminUrl}/warmroute/explain`) as Explained
  return pods[0]?.hitTokens
}

/** Tokens of prompts that picks so far have expected to find. */
const predictedInAll = async ({ handle }: TestGateway): Promise<number> => {
  const page = await (await fetch(`${handle.adminUrl}/metrics`)).text()
  const values = page.matchAll(/^warmroute_predicted_hit_tokens_total(?:\{[^}]*\})? (\S+)$/gm)
  return [...values].reduce((sum, [, value]) => sum + Number(value), 0)
}

/** Asks for the prompt: how much of it the pod then had. */
const cachedTokens = async (gateway: TestGateway): Promise<number> => {
  const { usage } = await post(`${gateway.url}/v1/chat/completions`) as {
    readonly usage: { readonly prompt_tokens_details: { readonly cached_tokens: number } | null }
  }
  await gateway.becomesIdle()
  return usage.prompt_tokens_details?.cached_tokens ?? 0
}

test.each([
  ["and was missed meanwhile", true],
  ["before anybody missed it", false]
])("a pod that comes back empty on its address, %s, is not taken to hold what it held", async (_how, isMissed) => {
  const before = await startTestFleet(1)
  const gateway = await startTestGateway({ pods: before.urls })
  await gateway.healthyPods(1)
  expect(await cachedTokens(gateway)).toBe(0)
  expect(await predictedInAll(gateway)).toBe(0)
  expect(await predictedHit(gateway)).toBeGreaterThan(1_000)
  expect(await cachedTokens(gateway)).toBeGreaterThan(1_000)
  const predicted = await predictedInAll(gateway)
  expect(predicted).toBeGreaterThan(1_000)

  await before.stop()
  if (isMissed) await gateway.healthyPods(0)
  const after = await startTestFleet(1, {}, Number(new URL(before.urls[0] ?? "").port))
  expect(after.urls).toEqual(before.urls)
  await eventually("a pick that predicts no hit", async () => await predictedHit(gateway) === 0)
  await gateway.healthyPods(1)
  expect(await cachedTokens(gateway)).toBe(0)
  expect(await predictedInAll(gateway)).toBe(predicted)
  expect(await predictedHit(gateway)).toBeGreaterThan(1_000)
  await gateway.stop()
  await after.stop()
})
