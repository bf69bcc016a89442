import { expect, test } from "bun:test"
import { DrainRate } from "../../../src/core/waiting/DrainRate.ts"

/** Two go on each second, of half a second's work each, while somebody waits. */
const drainFor = (rate: DrainRate, fromS: number, toS: number): void => {
  rate.pass(fromS, false)
  for (let nowS = fromS + 0.5; nowS <= toS; nowS += 0.5) {
    rate.pass(nowS, true)
    rate.left(0.5)
  }
}

test("the pace is unknown until a second of waiting was seen", () => {
  const rate = new DrainRate()
  drainFor(rate, 0, 0.5)
  expect(rate.requestsPerS).toBeUndefined()
  expect(rate.workPerS).toBeUndefined()
})

test("the pace is that of the requests and of the work that went on", () => {
  const rate = new DrainRate()
  drainFor(rate, 0, 60)
  expect(rate.requestsPerS).toBeCloseTo(2, 0)
  expect(rate.workPerS).toBeCloseTo(1, 0)
})

test("time in which nobody waited does not slow the pace", () => {
  const rate = new DrainRate()
  drainFor(rate, 0, 60)
  const before = rate.requestsPerS
  for (let nowS = 61; nowS <= 90; nowS++) rate.pass(nowS, false)
  expect(before).toBeGreaterThan(0)
  expect(rate.requestsPerS).toBe(before)
})
