import { expect, test } from "bun:test"
import { join } from "node:path"
import { eventually } from "../lib/eventually.ts"
import { startTestFleet } from "../lib/testFleet.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"
import { withDirectory } from "../storage/snapshots.ts"
import { valueOf } from "../telemetry/page.ts"

const metric = async ({ url }: TestGateway, name: string): Promise<number> =>
  valueOf(await (await fetch(`${url}/metrics`)).text(), `warmroute_snapshot_${name}`) ?? 0

test(
  "of two gateways on one snapshot path the second serves, shows that it saves nothing, and saves once the first ended",
  () =>
    withDirectory(async (directory) => {
      const fleet = await startTestFleet(1)
      const path = join(directory, "warm.sqlite")
      const start = () => startTestGateway({ pods: fleet.urls, config: { snapshot: { path, interval: "50 millis" } } })
      const first = await start()
      try {
        await eventually("a save of the first", async () => await metric(first, "saves_total") > 0)
        const second = await start()
        try {
          await second.healthyPods(1)
          await eventually("a save that failed", async () => await metric(second, "failures_total") > 0)
          expect(await metric(second, "saves_total")).toBe(0)
          expect(await metric(first, "failures_total")).toBe(0)
          await first.stop()
          await eventually("a save of the second", async () => await metric(second, "saves_total") > 0)
        } finally {
          await second.stop()
        }
      } finally {
        await first.stop()
        await fleet.stop()
      }
    }),
  30_000
)
