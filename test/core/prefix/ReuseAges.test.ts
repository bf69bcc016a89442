import { describe, expect, test } from "bun:test"
import type { BlockChain } from "../../../src/core/BlockChain.ts"
import { ReuseAges } from "../../../src/core/prefix/ReuseAges.ts"

/** One block that is followed: only some are, by their low word, and zeros at its end are always among them. */
const followed = (name: number): BlockChain => ({
  low: Uint32Array.of(name * 32),
  high: Uint32Array.of(name),
  length: 1
})

const agesOf = (samplesMax = 1000, halfLifeS = 1e9) => new ReuseAges({ samplesMax, halfLifeS })

describe("the chance that a block is asked for again", () => {
  test("is none while nothing was ever asked for twice", () => {
    const ages = agesOf()
    for (let name = 0; name < 100; name++) ages.asked(followed(name), name / 100)
    expect(ages.chance(1, 10)).toBe(0)
  })

  test("is, at an age before all reuses, the share of asks that were followed by another", () => {
    const ages = agesOf()
    // Each of 50 comes back once after 8 s, and 50 never do: of 150 asks, 50 were followed by another.
    for (let name = 0; name < 50; name++) ages.asked(followed(name), 0)
    for (let name = 0; name < 50; name++) ages.asked(followed(name), 8)
    for (let name = 100; name < 150; name++) ages.asked(followed(name), 8)
    expect(ages.chance(0.1, 10)).toBeCloseTo(50 / 150, 9)
  })

  test("is less at an age that reuses seldom reach, and none beyond them", () => {
    const ages = agesOf()
    for (let name = 0; name < 60; name++) ages.asked(followed(name), 0)
    for (let name = 0; name < 60; name++) ages.asked(followed(name), name < 40 ? 1 : 100)
    // Of 120 asks 60 never came back: 60 of 120 at first, 20 of 80 once the early ones are through, then none.
    expect(ages.chance(0.1, 200)).toBeCloseTo(60 / 120, 9)
    expect(ages.chance(10, 200)).toBeCloseTo(20 / 80, 9)
    expect(ages.chance(1000, 200)).toBe(0)
  })

  test("falls as an old reuse fades against new prompts that never come back", () => {
    const ages = agesOf(1000, 10)
    ages.asked(followed(1), 0)
    ages.asked(followed(1), 1)
    expect(ages.chance(0.1, 2)).toBeCloseTo(1 / 2, 9)
    // Three half-lives later the ask and its reuse count an eighth, beside one new ask in full.
    ages.chance(0.1, 32)
    ages.asked(followed(2), 32)
    expect(ages.chance(0.1, 33.5)).toBeLessThan(0.2)
  })
})

test("of more blocks than it may follow it forgets the one asked for longest ago", () => {
  const ages = agesOf(2)
  for (const name of [1, 2, 3]) ages.asked(followed(name), name)
  ages.asked(followed(1), 4)
  expect(ages.chance(0.1, 5)).toBe(0)
  ages.asked(followed(3), 6)
  expect(ages.chance(0.1, 7)).toBeGreaterThan(0)
})
