import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { CONFIRMING_FLEETS, type FleetFound, fleetSearch } from "../../../src/simulator/plan/fleetSearch.ts"

/** Runs the search against a fleet's known answers, and keeps what it tried. */
const searched = (podsMax: number, holds: (pods: number) => boolean): FleetFound & { tried: ReadonlyArray<number> } => {
  const tried: Array<number> = []
  const search = fleetSearch(podsMax)
  let step = search.next()
  while (step.done !== true) {
    tried.push(step.value)
    step = search.next(holds(step.value))
  }
  return { pods: step.value.pods, lucky: step.value.lucky, tried }
}

describe("the search for the smallest fleet", () => {
  test("finds the edge where fleets begin to hold, in a number of tries that grows with its logarithm", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 1024 }), fc.integer({ min: 1, max: 1024 }), (podsMax, edge) => {
      const { pods, tried } = searched(podsMax, (size) => size >= edge)
      expect(pods).toBe(edge <= podsMax ? edge : undefined)
      expect(tried.length).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(podsMax + 1)) + 1 + CONFIRMING_FLEETS)
    }))
  })

  test("tries each size once and none beyond the largest, whatever the answers", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 200 }), fc.func(fc.boolean()), (podsMax, holds) => {
      const { tried } = searched(podsMax, holds)
      expect(new Set(tried).size).toBe(tried.length)
      for (const size of tried) expect(size).toBeWithin(1, podsMax + 1)
    }))
  })

  test("answers a fleet below which one fails and above which every tried one holds", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 200 }), fc.func(fc.boolean()), (podsMax, holds) => {
      const { lucky, pods, tried } = searched(podsMax, holds)
      if (pods === undefined) return expect(holds(podsMax)).toBe(false)
      expect(tried.filter((size) => size >= pods && !holds(size))).toEqual([])
      for (let size = pods; size <= Math.min(podsMax, pods + CONFIRMING_FLEETS); size++) expect(tried).toContain(size)
      if (pods > 1) expect([tried.includes(pods - 1), holds(pods - 1)]).toEqual([true, false])
      expect(lucky.every((size) => size < pods && holds(size))).toBe(true)
    }))
  })

  test("passes over a fleet that holds while a larger one does not, and names it", () => {
    const { lucky, pods } = searched(64, (size) => size === 4 || size >= 7)
    expect(pods).toBe(7)
    expect(lucky).toEqual([4])
  })

  test("has no answer when only the largest fleet fails", () => {
    expect(searched(3, (size) => size < 3)).toEqual({ pods: undefined, lucky: [1, 2], tried: [1, 2, 3] })
  })
})
