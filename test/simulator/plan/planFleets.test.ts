import { describe, expect, test } from "bun:test"
import { Effect, Either } from "effect"
import type { RunSummary } from "../../../src/simulator/Measurements.ts"
import { planFleets, type PlanProgress } from "../../../src/simulator/plan/planFleets.ts"

const summaryOf = (sloShare: number): RunSummary => ({
  requests: 100,
  refused: 0,
  ttftMean: 1 - sloShare,
  ttftP50: 0,
  ttftP99: 1,
  tpotMean: 0.02,
  e2eMean: 2,
  outputTokensPerSecond: 1000,
  hitRatio: 0.5,
  sloShare
})

/** A policy that needs so many pods for 90 %. */
const needs: Readonly<Record<string, number>> = { thrifty: 6, spendthrift: 11, hopeless: 1000 }

const planned = (policies: ReadonlyArray<string>, podsMax: number) => {
  const runs: Array<string> = []
  const progress: Array<PlanProgress> = []
  const plans = Effect.runSync(planFleets({
    policies,
    share: 0.9,
    podsMax,
    simulate: (policy, pods) =>
      Effect.sync(() => {
        runs.push(`${policy} ${pods}`)
        return summaryOf(Math.min(1, 0.9 * pods / needs[policy]!))
      }),
    onProgress: (each) => void progress.push(each)
  }))
  return { plans, runs, progress }
}

describe("a plan", () => {
  test("has the smallest fleet of each policy, and none where none holds", () => {
    const { plans } = planned(["thrifty", "spendthrift", "hopeless"], 32)
    expect(plans.map(({ policy, pods }) => [policy, pods])).toEqual([
      ["thrifty", 6],
      ["spendthrift", 11],
      ["hopeless", undefined]
    ])
  })

  test("has every policy at the answers of the others, so that the curves compare", () => {
    const { plans } = planned(["thrifty", "spendthrift"], 64)
    for (const { points } of plans) {
      const sizes = points.map(({ pods }) => pods)
      expect(sizes).toEqual(sizes.toSorted((one, other) => one - other))
      for (const size of [1, 2, 4, 6, 8, 11]) expect(sizes).toContain(size)
    }
  })

  test("simulates no fleet twice and ends at the number it expected", () => {
    const { progress, runs } = planned(["thrifty", "spendthrift", "hopeless"], 64)
    expect(new Set(runs).size).toBe(runs.length)
    expect(progress.at(-1)).toEqual({ done: runs.length, expected: runs.length })
  })

  test("fails as soon as a simulation does", () => {
    const failing = planFleets({
      policies: ["thrifty"],
      share: 0.9,
      podsMax: 8,
      simulate: () => Effect.fail("no such policy"),
      onProgress: () => undefined
    })
    expect(Effect.runSync(Effect.either(failing))).toEqual(Either.left("no such policy"))
  })
})
