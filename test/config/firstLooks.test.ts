import { expect, test } from "bun:test"
import { Effect } from "effect"
import type { PodId } from "../../src/core/Pod.ts"
import type { PodHealth, PodStatus } from "../../actors/PoolView.ts"
import { firstLooks } from "../../config/firstLooks.ts"
import { startRawPod } from "../lib/rawPod.ts"
import { startTestGateway } from "../lib/testGateway.ts"

const statusOf = (health: PodHealth): PodStatus => ({
  address: { id: "a:1" as PodId, hostname: "a", port: 1, tls: false },
  health,
  reason: undefined,
  models: [],
  version: undefined
})

test("the first looks are over when no pod is only starting", async () => {
  let pods = [statusOf("healthy"), statusOf("starting")]
  let isOver = false
  const waited = Effect.runPromise(firstLooks({ pods: () => pods }, 60_000)).then(() => {
    isOver = true
  })
  await Bun.sleep(20)
  expect(isOver).toBe(false)
  pods = [statusOf("healthy"), statusOf("unhealthy")]
  await waited
})

test("a pod that never answers does not keep a gateway from its start", async () => {
  const hung = startRawPod(() => {})
  const gateway = await startTestGateway({ pods: [hung.url], config: { scrape: { timeout: "30 seconds" } } })
  const healths = gateway.handle.poolView.pods().map(({ health }) => health)
  await gateway.stop()
  hung.stop()
  expect(healths).toEqual(["starting"])
})
