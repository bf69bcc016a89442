import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { emulatedModel, startTestFleet, type TestFleet } from "../lib/testFleet.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"

const podCount = 4
const subjects = Array.from({ length: 12 }, (_, i) => `chapter ${i} `.repeat(400))

let fleet: TestFleet
let dir: string

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "warmroute-"))
  fleet = await startTestFleet(podCount)
})

afterAll(async () => {
  await fleet?.stop()
  rmSync(dir, { recursive: true })
})

interface Placed {
  readonly pod: string | null
  readonly hitShare: number
}

const place = async (gateway: TestGateway, subject: string): Promise<Placed> => {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: emulatedModel, messages: [{ role: "user", content: subject }], max_tokens: 2 })
  })
  expect(response.status).toBe(200)
  const { usage } = await response.json() as {
    usage: { prompt_tokens: number; prompt_tokens_details: { cached_tokens: number } | null }
  }
  return {
    pod: response.headers.get("x-warmroute-pod"),
    hitShare: (usage.prompt_tokens_details?.cached_tokens ?? 0) / usage.prompt_tokens
  }
}

test("a gateway that starts again sends each prefix to the pod that holds it", async () => {
  const snapshot = join(dir, "warm.sqlite")
  const before = await startTestGateway({ pods: fleet.urls, snapshot })
  await before.healthyPods(podCount)
  const first = await Promise.all(subjects.map((subject) => place(before, subject)))
  expect(new Set(first.map((each) => each.pod)).size).toBe(podCount)
  await before.becomesIdle()
  await before.stop()

  const after = await startTestGateway({ pods: fleet.urls, snapshot })
  expect(after.handle.restoredPods).toBe(podCount)
  await after.healthyPods(podCount)
  const second: Array<Placed> = []
  for (const subject of subjects) second.push(await place(after, subject))
  expect(second.map((each) => each.pod)).toEqual(first.map((each) => each.pod))
  expect(Math.min(...second.map((each) => each.hitShare))).toBeGreaterThan(0.9)
  await after.stop()
})

test("a damaged snapshot is set aside and the start is cold", async () => {
  const snapshot = join(dir, "damaged.sqlite")
  writeFileSync(snapshot, "not a database, but long enough to look like one".repeat(100))
  const gateway = await startTestGateway({ pods: fleet.urls, snapshot })
  expect(gateway.handle.restoredPods).toBe(0)
  await gateway.healthyPods(podCount)
  const [subject = ""] = subjects
  await place(gateway, subject)
  await gateway.stop()
})
