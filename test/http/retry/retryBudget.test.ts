import { expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { RetryBudget } from "../../../src/http/retry/RetryBudget.ts"

test("a quiet gateway may retry at its floor", () => {
  const budget = new RetryBudget(() => ({ retryShare: 0, retriesPerSecondMin: 1 }))
  expect(Array.from({ length: 12 }, () => budget.spend(0)).filter(Boolean)).toHaveLength(10)
})

test("retries are given back as the window moves on", () => {
  const budget = new RetryBudget(() => ({ retryShare: 0, retriesPerSecondMin: 1 }))
  for (let i = 0; i < 10; i++) budget.spend(0)
  expect([budget.spend(0), budget.spend(10)]).toEqual([false, true])
})

test("retries never exceed their share of the requests", () => {
  const share = 0.2
  fc.assert(fc.property(fc.array(fc.boolean(), { maxLength: 500 }), (isRequest) => {
    const budget = new RetryBudget(() => ({ retryShare: share, retriesPerSecondMin: 0 }))
    let requests = 0
    let retries = 0
    for (const request of isRequest) {
      if (request) {
        budget.earn(1)
        requests++
      } else if (budget.spend(1)) retries++
      expect(retries).toBeLessThanOrEqual(share * requests)
    }
  }))
})
