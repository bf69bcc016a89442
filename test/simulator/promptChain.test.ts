import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { chainOf, prefixOf, type Segment, tokensOf } from "../../src/simulator/promptChain.ts"

const segments = fc.array(
  fc.record({ id: fc.constantFrom(1, 2, 2 ** 32 + 1, 2 ** 48 + 5), tokens: fc.integer({ min: 1, max: 40 }) }),
  { maxLength: 6 }
)

/** Every token by name, to compare with. */
const spelledOut = (list: ReadonlyArray<Segment>): ReadonlyArray<string> =>
  list.flatMap(({ id, tokens }) => Array.from({ length: tokens }, (_, offset) => `${id}:${offset}`))

const sharedTokens = (one: ReadonlyArray<string>, other: ReadonlyArray<string>): number => {
  let shared = 0
  while (shared < one.length && shared < other.length && one[shared] === other[shared]) shared++
  return shared
}

describe("chains of segments", () => {
  test("are equal exactly up to the block of the first different token", () => {
    fc.assert(
      fc.property(segments, segments, fc.constantFrom(1, 7, 16), (one, other, block) => {
        const [a, b] = [chainOf(one, block), chainOf(other, block)]
        const shared = Math.floor(sharedTokens(spelledOut(one), spelledOut(other)) / block)
        for (let i = 0; i < Math.min(a.length, b.length); i++) {
          expect(a.low[i] === b.low[i] && a.high[i] === b.high[i]).toBe(i < shared)
        }
      }),
      { numRuns: 300 }
    )
  })

  test("have one entry for each full block", () => {
    fc.assert(fc.property(segments, (list) => {
      expect(chainOf(list, 16).length).toBe(Math.floor(tokensOf(list) / 16))
    }))
  })

  test("begin with the chain of the prompt when the answer follows it", () => {
    const prompt = [{ id: 1, tokens: 100 }, { id: 2, tokens: 30 }]
    const whole = chainOf([...prompt, { id: 3, tokens: 50 }], 16)
    const cut = prefixOf(whole, 130, 16)
    const alone = chainOf(prompt, 16)
    expect(cut.length).toBe(alone.length)
    expect([...whole.low.subarray(0, cut.length)]).toEqual([...alone.low])
    expect([...whole.high.subarray(0, cut.length)]).toEqual([...alone.high])
  })
})
