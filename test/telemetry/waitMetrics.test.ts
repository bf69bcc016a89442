import { expect, test } from "bun:test"
import { MetricRegistry } from "../../src/telemetry/MetricRegistry.ts"
import { makeWaitMetrics, watchWaiting } from "../../src/telemetry/waitMetrics.ts"

test("waits are told by band, and bands beyond the sixteenth count together", () => {
  const registry = new MetricRegistry(1000)
  const { label, onWaited } = makeWaitMetrics(registry)
  for (let priority = 0; priority < 20; priority++) onWaited(priority, 1, "placed")
  const bandCounts = () => [{ priority: 19, count: 2 }, { priority: 18, count: 3 }, { priority: 7, count: 4 }]
  watchWaiting(registry, { bytes: 9, podlessCount: 4, bandCounts }, label)
  const page = registry.render()
  expect(page).toContain(`warmroute_waits_total{band="15",outcome="placed"} 1\n`)
  expect(page).toContain(`warmroute_waits_total{band="other",outcome="placed"} 4\n`)
  expect(page).not.toContain(`band="16"`)
  expect(page).toContain(`warmroute_waiting_requests{band="other"} 5\n`)
  expect(page).toContain(`warmroute_waiting_requests{band="7"} 4\n`)
  expect(page).toContain(`warmroute_waiting_requests{band="0"} 0\n`)
  expect(page).toContain("warmroute_waiting_podless_requests 4\n")
  expect(page).toContain("warmroute_waiting_bytes 9\n")
})
