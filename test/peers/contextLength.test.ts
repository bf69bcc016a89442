import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import type { PodGuard } from "../../src/core/PodGuard.ts"
import type { RequestFeatures } from "../../src/core/RequestFeatures.ts"
import type { Scheduler } from "../../src/core/Scheduler.ts"
import { emulatedModel, startTestFleet } from "../lib/testFleet.ts"
import { startTestGateway } from "../lib/testGateway.ts"
import { pod, requestOf } from "../policies/fleet.ts"
import { countsOf, fleetOfPods, placed, podOf, sentTo } from "./fleetOfPods.ts"

/** Pods of one model that take requests of so many tokens; undefined: they do not say. */
const fleetOfLengths = (...lengths: ReadonlyArray<number | undefined>): Scheduler => {
  const scheduler = fleetOfPods(lengths.length)
  for (const [index, length] of lengths.entries()) scheduler.describe(pod(index).id, 16, 335_000, ["m"], length)
  return scheduler
}

const asking = (promptTokens: number, outputTokensMax?: number): RequestFeatures => ({
  ...requestOf(promptTokens),
  outputTokensMax
})

const whereTo = (scheduler: Scheduler, request: RequestFeatures, count = 20): ReadonlyArray<number> =>
  countsOf(
    scheduler.table.rowCount,
    Array.from({ length: count }, () => {
      const placement = placed(scheduler, request)
      scheduler.end(placement.reservation, {}, 0)
      return podOf(placement)
    })
  )

const breakAt = (scheduler: Scheduler, index: number): void => {
  const guard: Parameters<PodGuard["replaceOptions"]>[0] = {
    breaker: { failuresInRow: 1, failureRatio: 1, requestsMin: 100, windowS: 10, openMinS: 5, openMaxS: 5 },
    slowStartS: 0,
    stallAfterS: 1000,
    onChange: () => {}
  }
  scheduler.guard.replaceOptions(guard)
  scheduler.podFailed(pod(index).id, 0, true, "broken", 0)
}

describe("a model whose pods have contexts of different lengths", () => {
  test("has a long prompt answered by a pod that holds it, however busy that is", () => {
    const scheduler = fleetOfLengths(4096, 32_768, 4096)
    for (let i = 0; i < 5; i++) sentTo(scheduler, 1, asking(2000))
    expect(whereTo(scheduler, asking(8000))).toEqual([0, 20, 0])
  })

  test("counts the output that was asked for, and one token where none was", () => {
    const scheduler = fleetOfLengths(4096, 32_768)
    const short = (request: RequestFeatures): number => whereTo(scheduler, request)[0]!
    expect([short(asking(4000, 97)), short(asking(4096))]).toEqual([0, 0])
    for (const request of [asking(4000, 96), asking(4095)]) expect(short(request)).toBeGreaterThan(0)
    expect(short({ ...asking(4096), generates: false })).toBeGreaterThan(0)
  })

  test("tries the others too when none seems to hold it, since its length is an estimate", () => {
    const counts = whereTo(fleetOfLengths(4096, 8192), asking(9000))
    expect(Math.min(...counts)).toBeGreaterThan(0)
  })

  test("takes what is left when those that hold it are away, failed it, or are broken", () => {
    const scheduler = fleetOfLengths(4096, 32_768)
    const excluded = scheduler.pick(asking(8000), [pod(1).id], 0)
    if (typeof excluded === "string") throw new Error(excluded)
    expect(podOf(excluded)).toBe(0)
    breakAt(scheduler, 1)
    expect(whereTo(scheduler, asking(8000))).toEqual([20, 0])
    scheduler.observe(pod(1).id, false, 0, 0, 0, 0)
    expect(whereTo(scheduler, asking(8000))).toEqual([20, 0])
  })

  test("trusts a pod that does not say how long its context is", () => {
    const counts = whereTo(fleetOfLengths(4096, undefined, 16_384), asking(8000))
    expect(counts[0]).toBe(0)
    expect(counts[1]).toBeGreaterThan(0)
  })

  test("follows pods that come, go and change", () => {
    const scheduler = fleetOfLengths(4096, 4096)
    expect(Math.min(...whereTo(scheduler, asking(8000)))).toBeGreaterThan(0)
    scheduler.describe(pod(0).id, 16, 335_000, ["m"], 32_768)
    expect(whereTo(scheduler, asking(8000))).toEqual([20, 0])
    scheduler.leave(pod(0).id)
    expect(podOf(placed(scheduler, asking(8000)))).toBe(1)
  })

  test("is explained", () => {
    const excludedOf = (scheduler: Scheduler, tokens: number) =>
      scheduler.explain(asking(tokens), 0).pods.map(({ excluded }) => excluded)
    expect(excludedOf(fleetOfLengths(4096, 32_768), 8000)).toEqual(["too-short", undefined])
    expect(excludedOf(fleetOfLengths(4096, 32_768), 1000)).toEqual([undefined, undefined])
    expect(excludedOf(fleetOfLengths(4096, 32_768), 50_000)).toEqual([undefined, undefined])
  })

  test("never has a prompt at a pod that is too short while another one takes it", () => {
    const length = fc.constantFrom(undefined, 2048, 4096, 8192)
    const accepts = fc.boolean()
    fc.assert(fc.property(
      fc.array(fc.record({ length, accepts }), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 10_000 }),
      fc.option(fc.integer({ min: 1, max: 4000 }), { nil: undefined }),
      (pods, promptTokens, outputTokensMax) => {
        const scheduler = fleetOfLengths(...pods.map((each) => each.length))
        for (const [index, each] of pods.entries()) scheduler.observe(pod(index).id, each.accepts, 0, 0, 0, 0)
        const holds = (index: number): boolean =>
          (pods[index]!.length ?? Infinity) >= promptTokens + (outputTokensMax ?? 1)
        const placement = scheduler.pick(asking(promptTokens, outputTokensMax), [], 0)
        const open = pods.flatMap((each, index) => each.accepts ? [index] : [])
        if (typeof placement === "string") return open.length === 0
        return holds(podOf(placement)) || !open.some(holds)
      }
    ))
  })

  test("answers what the longest of them can, and shows its length in the list of models", async () => {
    const short = await startTestFleet(2, { maxModelLen: 256 })
    const long = await startTestFleet(1, { maxModelLen: 2048 })
    const gateway = await startTestGateway({ pods: [...short.urls, ...long.urls] })
    await gateway.healthyPods(3)
    const prompt = Array.from({ length: 600 }, (_, i) => i + 1)
    const ask = async (): Promise<number> => {
      const answer = await fetch(`${gateway.url}/v1/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: emulatedModel, prompt, max_tokens: 2 })
      })
      await answer.text()
      return answer.status
    }
    const statuses = await Promise.all(Array.from({ length: 12 }, ask))
    const list = await (await fetch(`${gateway.url}/v1/models`)).json()
    await gateway.becomesIdle()
    await gateway.stop()
    await Promise.all([short.stop(), long.stop()])
    expect(new Set(statuses)).toEqual(new Set([200]))
    expect(list).toMatchObject({ data: [{ id: emulatedModel, max_model_len: 2048, owned_by: "vllm" }] })
  })
})
