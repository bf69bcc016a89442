import { expect, test } from "bun:test"
import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { hashText } from "../../src/core/BlockHash.ts"
import type { DecisionEntry } from "../../src/telemetry/DecisionLog.ts"
import { emulatedModel, startTestFleet } from "../lib/testFleet.ts"
import { startTestGateway } from "../lib/testGateway.ts"

test("a gateway logs its decisions with how they turned out, no word of a prompt, and counts the error", async () => {
  const fleet = await startTestFleet(2)
  const path = join(await mkdtemp(join(tmpdir(), "warmroute-log-")), "decisions.jsonl")
  const gateway = await startTestGateway({ pods: fleet.urls, config: { decisionLog: { sampleRate: 1, path } } })
  await gateway.healthyPods(2)
  const pods: Array<string | null> = []
  for (const stream of [true, false]) {
    const response = await fetch(`${gateway.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-request-id": `stream-${stream}` },
      body: JSON.stringify({ model: emulatedModel, prompt: "xyzzy plugh", max_tokens: 5, ignore_eos: true, stream })
    })
    await response.text()
    pods.push(response.headers.get("x-warmroute-pod"))
  }
  await gateway.becomesIdle()
  const page = await (await fetch(`${gateway.url}/metrics`)).text()
  await gateway.stop()
  await fleet.stop()
  const text = await Bun.file(path).text()
  expect(text).not.toContain("xyzzy")
  const common = {
    model: emulatedModel,
    policy: "marginal-cost",
    outcome: "finished",
    predictedTtftMs: expect.any(Number)
  }
  expect(text.trimEnd().split("\n").map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { ...common, requestId: "stream-true", pod: pods[0], observedTtftMs: expect.any(Number) },
    { ...common, requestId: "stream-false", pod: pods[1], observedTtftMs: null, outputTokens: 5 }
  ])
  expect(page).toContain("warmroute_ttft_prediction_error_ratio_count 1\n")
  expect(page).toContain(`warmroute_pod_ttft_observations_total{pod="${pods[0]}"} 1\n`)
})

test("a session is logged by the name that the policy goes by, from its sources or the request's own keys", async () => {
  const fleet = await startTestFleet(3)
  const path = join(await mkdtemp(join(tmpdir(), "warmroute-log-")), "decisions.jsonl")
  const sources = [{ header: "X-User" }, { cookie: "sid" }]
  const gateway = await startTestGateway({
    pods: fleet.urls,
    config: { decisionLog: { sampleRate: 1, path }, policy: { type: "session-hash", parameters: { sources } } }
  })
  await gateway.healthyPods(3)
  const requests: ReadonlyArray<readonly [headers: Record<string, string>, session: string]> = [
    [{ "x-user": "ann", "x-session-id": "other" }, "ann"],
    [{ cookie: "a=1; sid=bob", "x-session-id": "other" }, "bob"],
    [{ "x-session-id": "carl" }, "carl"],
    [{}, ""],
    [{ "X-USER": " ann " }, "ann"]
  ]
  for (const [headers] of requests) {
    const response = await fetch(`${gateway.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ model: emulatedModel, prompt: "x", max_tokens: 1 })
    })
    await response.text()
  }
  await gateway.becomesIdle()
  await gateway.stop()
  await fleet.stop()
  const lines = (await Bun.file(path).text()).trimEnd().split("\n").map((line) => JSON.parse(line) as DecisionEntry)
  expect(lines.map(({ session }) => session)).toEqual(requests.map(([, name]) => name === "" ? 0 : hashText(name)))
  expect(lines[4]?.pod).toBe(lines[0]?.pod ?? "none")
})
