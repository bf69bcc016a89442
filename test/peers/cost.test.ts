import { describe, expect, test } from "bun:test"
import { emulatedModel, startTestFleet } from "../lib/testFleet.ts"
import { startTestGateway } from "../lib/testGateway.ts"
import { blocks, fleetOfPods, placed, prompt, served } from "./fleetOfPods.ts"

// lightseekorg/smg#1692, #2268: a copy of the fleet for each request
describe("a request", () => {
  test("takes one pod's address out of the scheduler's table, however many pods there are", () => {
    const readsOf = (pods: number): number => {
      const scheduler = fleetOfPods(pods, { podsMax: 1024 })
      let reads = 0
      const addresses = new Proxy(scheduler.table.addresses, {
        get: (target, name, receiver) => {
          if (typeof name === "string" && /^\d+$/.test(name)) reads++
          return Reflect.get(target, name, receiver)
        }
      })
      Object.assign(scheduler.table, { addresses })
      for (let i = 0; i < 10; i++) served(scheduler, placed(scheduler, prompt(blocks(i, 50)), i), i)
      return reads
    }
    expect(readsOf(8)).toBe(10)
    expect(readsOf(1000)).toBe(10)
  })

  test("asks the pool for no list of its pods or models", async () => {
    const fleet = await startTestFleet(3)
    const gateway = await startTestGateway({ pods: fleet.urls })
    await gateway.healthyPods(3)
    const { poolView } = gateway.handle
    const { models, pods } = poolView
    let lists = 0
    const counted = <A>(list: () => A) => () => {
      lists++
      return list()
    }
    Object.assign(poolView, { models: counted(models), pods: counted(pods) })
    for (const stream of [true, false]) {
      const answer = await fetch(`${gateway.url}/v1/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: emulatedModel, prompt: "hello", max_tokens: 4, stream })
      })
      expect(answer.status).toBe(200)
      await answer.text()
    }
    await gateway.becomesIdle()
    expect(lists).toBe(0)
    await (await fetch(`${gateway.url}/v1/models`)).text()
    expect(lists).toBe(1)
    await gateway.stop()
    await fleet.stop()
  })
})
