import { describe, expect, test } from "bun:test"
import { SeededRandom } from "../../src/simulator/SeededRandom.ts"

const drawn = (random: SeededRandom, count: number) => Array.from({ length: count }, () => random.uniform())
const meanOf = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0) / values.length

describe("seeded chance", () => {
  test("repeats itself for the same seed and not for another", () => {
    expect(drawn(new SeededRandom(7), 50)).toEqual(drawn(new SeededRandom(7), 50))
    expect(drawn(new SeededRandom(7), 5)).not.toEqual(drawn(new SeededRandom(8), 5))
  })

  test("gives a fork the same numbers whatever its parent drew before", () => {
    const early = new SeededRandom(7).fork(3)
    const parent = new SeededRandom(7)
    drawn(parent, 100)
    expect(drawn(parent.fork(3), 20)).toEqual(drawn(early, 20))
    expect(drawn(new SeededRandom(7).fork(4), 20)).not.toEqual(drawn(new SeededRandom(7).fork(3), 20))
  })

  test("is uniform", () => {
    const values = drawn(new SeededRandom(1), 20_000)
    expect(values.every((value) => value >= 0 && value < 1)).toBe(true)
    for (let tenth = 0; tenth < 10; tenth++) {
      const share = values.filter((value) => Math.floor(value * 10) === tenth).length / values.length
      expect(share).toBeCloseTo(0.1, 1)
    }
  })

  test("draws waits and lengths with the mean that was asked for", () => {
    const random = new SeededRandom(1)
    expect(meanOf(Array.from({ length: 20_000 }, () => random.exponential(3)))).toBeCloseTo(3, 0)
    const lengths = Array.from({ length: 20_000 }, () => random.logNormal(1000, 0.5, 1, 100_000))
    expect(Math.abs(meanOf(lengths) / 1000 - 1)).toBeLessThan(0.02)
    expect(
      Array.from({ length: 1000 }, () => random.logNormal(1000, 2, 500, 1500)).every((length) =>
        length >= 500 && length <= 1500
      )
    ).toBe(true)
  })
})
