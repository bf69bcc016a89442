import { describe, expect, test } from "bun:test"
import { Either } from "effect"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import { fleets } from "../../src/simulator/fleets/catalog.ts"
import { defaultPath, makeRun, runPolicy } from "../../src/simulator/runPolicy.ts"
import { workloads } from "../../src/simulator/workloads/catalog.ts"

const constants = hardwarePresets["qwen3-32b-2xh100"]!

const fleetOf = (name: string, pods = 8, seed = 5) => fleets.get(name)!({ pods, constants, seed })

/** Every fleet's events happen within this time. */
const LONG_ENOUGH_S = 260

const optionsOf = (fleet: string, policy = "marginal-cost", load = 6, durationS = LONG_ENOUGH_S) => ({
  workload: workloads.get("b2b")!.make({ load, seed: 5, durationS }),
  policy: { type: policy },
  seed: 5,
  pods: 8,
  constants,
  path: defaultPath,
  fleet: fleetOf(fleet)
})

/** A run that notes when which pod was picked. */
const watched = (fleet: string, policy?: string) => {
  const run = Either.getOrThrow(makeRun(optionsOf(fleet, policy)))
  const picks: Array<{ readonly pod: string; readonly atS: number }> = []
  const pick = run.scheduler.pick.bind(run.scheduler)
  run.scheduler.pick = (request, excluded, nowS) => {
    const placement = pick(request, excluded, nowS)
    if (typeof placement !== "string") picks.push({ pod: placement.address.id, atS: nowS })
    return placement
  }
  run.simulation.run()
  return { ...run, picks }
}

describe("a fleet", () => {
  test.each([...fleets.keys()])("named %s serves every request once and ends with nothing open", (name) => {
    const { pods, scheduler, simulation } = Either.getOrThrow(makeRun(optionsOf(name, "marginal-cost", 2)))
    simulation.run()
    expect(simulation.measurements.summary().requests).toBeGreaterThan(250)
    expect(simulation.measurements.refused).toBe(0)
    // News of another gateway's last requests may still be on the way.
    expect(scheduler.openRequests).toBeLessThanOrEqual(name.endsWith("-shared") ? 2 : 0)
    expect(pods.every((pod) => !pod.engine.hasWork && pod.engine.kvUsage === 0)).toBe(true)
  })

  test.each(["lost-pod", "wrong-constants", "4-gateways-shared"])(
    "named %s gives the same result for the same seed",
    (name) => {
      const once = () => JSON.stringify(Either.getOrThrow(runPolicy(optionsOf(name, "power-of-two", 2, 170))))
      expect(once()).toBe(once())
    }
  )
})

describe("half of the pods slow", () => {
  test("are twice as slow in everything, known or not", () => {
    for (const [name, believedS] of [["half-slow", 2], ["half-slow-unknown", 1]] as const) {
      const [fast, slow] = fleetOf(name).pods
      expect(fast).toMatchObject({ engine: constants, believed: constants })
      expect(slow!.engine.prefillTokenS).toBe(constants.prefillTokenS * 2)
      expect(slow!.engine.contextTokenS).toBe(constants.contextTokenS * 2)
      expect(slow!.engine.kvCapacityTokens).toBe(constants.kvCapacityTokens)
      expect(slow!.believed.weightReadS).toBe(constants.weightReadS * believedS)
    }
  })
})

describe("a pod that dies", () => {
  const { diesAtS, returnsAtS } = fleetOf("lost-pod").pods[0]!

  test.each(["marginal-cost", "round-robin"])("gets no request of %s until it is back, and some then", (policy) => {
    const { picks, pods } = watched("lost-pod", policy)
    const lost = picks.filter(({ pod }) => pod === pods[0]!.address.id).map(({ atS }) => atS)
    expect(lost.some((atS) => atS < diesAtS!)).toBe(true)
    expect(lost.filter((atS) => atS > diesAtS! + 0.5 && atS < returnsAtS!)).toEqual([])
    expect(lost.some((atS) => atS > returnsAtS!)).toBe(true)
  })

  test("loses its requests to other pods, which start them anew", () => {
    const { picks, pods, simulation } = watched("lost-pod")
    // Picks beyond one a request are the second tries of those that it had.
    const retried = picks.length - simulation.ended
    expect(retried).toBeGreaterThan(3)
    expect(pods.reduce((sum, pod) => sum + pod.engine.counters.finishedRequests, 0)).toBeLessThan(simulation.ended)
    expect(pods[0]!.life).toBe(1)
  })

  test("comes back with an empty cache, and the scheduler knows", () => {
    const { pods, scheduler, simulation } = Either.getOrThrow(makeRun(optionsOf("lost-pod")))
    const restarts: Array<string> = []
    const sketched: Array<number> = []
    const restarted = scheduler.restarted.bind(scheduler)
    scheduler.restarted = (id) => {
      restarted(id)
      restarts.push(id)
      sketched.push(scheduler.exportSketch(id)!.blocks.length)
    }
    const before = () => scheduler.exportSketch(pods[0]!.address.id)!.blocks.length
    const empty = before()
    simulation.run()
    expect(restarts).toEqual([pods[0]!.address.id])
    expect(sketched).toEqual([empty])
    expect(before()).toBeGreaterThan(empty)
  })
})

test("pods that join cold get nothing before they join, and then their part", () => {
  const { fleet } = optionsOf("cold-joiners")
  const { picks, pods } = watched("cold-joiners")
  for (const [index, { joinsAtS }] of fleet.pods.entries()) {
    const own = picks.filter(({ pod }) => pod === pods[index]!.address.id)
    expect(own.every(({ atS }) => atS >= joinsAtS)).toBe(true)
    expect(own.length).toBeGreaterThan(20)
  }
  expect(fleet.pods.filter(({ joinsAtS }) => joinsAtS > 0)).toHaveLength(4)
})

test("wrong constants are wrong by up to 30 % a pod, by the seed", () => {
  const errors = (seed: number) =>
    fleetOf("wrong-constants", 8, seed).pods.map(({ believed, engine }) => {
      const error = believed.prefillTokenS / engine.prefillTokenS
      expect(believed.contextTokenS / engine.contextTokenS).toBeCloseTo(error, 9)
      expect(error).toBeWithin(0.7, 1.3)
      return error
    })
  expect(new Set(errors(5)).size).toBe(8)
  expect(errors(5)).toEqual(errors(5))
  expect(errors(6)).not.toEqual(errors(5))
})

test.each([["believed-2x-slower", 2], ["believed-2x-faster", 0.5]])(
  "%s: all pods are taken for that much slower than they are",
  (name, factor) => {
    for (const { believed, engine } of fleetOf(name, 4, 1).pods) {
      expect(believed.prefillTokenS).toBeCloseTo(factor * engine.prefillTokenS, 12)
      expect(believed.kvCapacityTokens).toBe(engine.kvCapacityTokens)
    }
  }
)
