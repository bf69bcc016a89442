import { describe, expect, test } from "bun:test"
import type { Policy } from "../../src/core/Policy.ts"
import { contextOf, type PodFacts, policyOf } from "./fleet.ts"

const parameters = { ttftWeight: 8, queueToleranceS: 0.5, prefillCrowdWeight: 2, hysteresis: 0.2, spreadSlack: 0.2 }
const policy = policyOf({ type: "marginal-cost", parameters })

/** Tokens of new prompts that each pod had of late. */
const pick = (
  pods: ReadonlyArray<PodFacts>,
  newTokens: ReadonlyArray<number>,
  promptTokens = 1000,
  by: Policy = policy
): number => {
  const context = contextOf(pods, promptTokens)
  newTokens.forEach((tokens, row) => void (context.table.coldTokens[row] = tokens))
  return by.pick(context)
}

const termsOf = (pods: ReadonlyArray<PodFacts>, promptTokens = 1000): ReadonlyArray<Record<string, number>> => {
  const reasons = policy.explain?.(contextOf(pods, promptTokens))
  if (reasons === undefined) throw new Error("it does not explain itself")
  return pods.map((_, row) =>
    Object.fromEntries(reasons.columns.map(({ key }, at) => [key, reasons.values.get(row)?.[at] ?? Number.NaN]))
  )
}

describe("the crowd before a prefill", () => {
  test("adds to the queue penalty what the prompt costs each that waits for its own", () => {
    const [alone, crowded] = termsOf([{}, { prefilling: 3, prefillAheadS: 0.3, prefillAheadTokens: 3000 }])
    // own 0.1 s. Alone: 0.1^2 / 0.5. Behind 0.3 s of three others: 0.4^2 / 0.5 + 2 * 3 * 0.1.
    expect(alone?.["queuePenaltyS"]).toBeCloseTo(0.02, 9)
    expect(crowded?.["queuePenaltyS"]).toBeCloseTo(0.32 + 0.6, 9)
  })

  test("sends a prompt to one long prefill rather than to many short ones of the same length together", () => {
    const one = { prefilling: 1, prefillAheadS: 0.3, prefillAheadTokens: 3000 }
    const many = { prefilling: 6, prefillAheadS: 0.3, prefillAheadTokens: 3000 }
    expect(pick([many, one], [0, 0])).toBe(1)
  })
})

describe("a prompt that is new everywhere", () => {
  test("goes to the pod with fewest new prompts of late among those that cost little more than the cheapest", () => {
    // One request decodes on the second: D 100 * s(2) = 1.2, X 0.1 + 0.05, against 1.1: 2.3 of 2.1, inside the slack.
    expect(pick([{}, { decoding: 1 }], [5000, 0])).toBe(1)
    expect(pick([{}, { decoding: 1 }], [0, 5000])).toBe(0)
  })

  test("does not go to a pod that costs more than the slack, however few it had", () => {
    expect(pick([{}, { decoding: 6 }], [5000, 0])).toBe(0)
  })

  test("is what a prompt is of which no pod holds half", () => {
    const loose = policyOf({ type: "marginal-cost", parameters: { ...parameters, spreadSlack: 1 } })
    expect(pick([{ hitTokens: 499 }, {}], [5000, 0], 1000, loose)).toBe(1)
    expect(pick([{ hitTokens: 500 }, {}], [5000, 0], 1000, loose)).toBe(0)
  })
})
