import { expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { RetryBudget } from "../../../src/http/retry/RetryBudget.ts"

const spendAll = (budget: RetryBudget): number => {
  let spent = 0
  while (budget.spend()) spent++
  return spent
}

test("a quiet gateway may retry a few", () => {
  expect(spendAll(new RetryBudget(() => ({ retryShare: 0.2, retryBurst: 7 })))).toBe(7)
})

test("without share and burst there is no retry", () => {
  const budget = new RetryBudget(() => ({ retryShare: 0, retryBurst: 0 }))
  budget.earn(0)
  expect(budget.spend()).toBe(false)
})

test("retries are never more than the burst and their share of the requests, whenever those come", () => {
  const burst = 5
  const share = 0.2
  const happenings = fc.array(
    fc.record({ isRequest: fc.boolean(), afterS: fc.double({ min: 0, max: 8, noNaN: true }) }),
    {
      maxLength: 500
    }
  )
  fc.assert(fc.property(happenings, (happenings) => {
    const budget = new RetryBudget(() => ({ retryShare: share, retryBurst: burst }))
    let nowS = 0
    let requests = 0
    let retries = 0
    for (const { afterS, isRequest } of happenings) {
      nowS += afterS
      if (isRequest) {
        budget.earn(nowS)
        requests++
      } else if (budget.spend()) retries++
      expect(retries).toBeLessThanOrEqual(burst + share * requests + 1e-9)
    }
  }))
})

test("where every try fails at twenty requests a second, a fifth of them is retried, and a few once", () => {
  const budget = new RetryBudget(() => ({ retryShare: 0.2, retryBurst: 20 }))
  let retries = 0
  for (let i = 0; i < 20 * 60; i++) {
    budget.earn(i / 20)
    while (budget.spend()) retries++
  }
  expect(Math.abs(retries - (20 + 0.2 * 20 * 60))).toBeLessThanOrEqual(1)
})

test("a pod of eight that dies under 200 requests a second takes none of its requests with it", () => {
  const budget = new RetryBudget(() => ({ retryShare: 0.2, retryBurst: 20 }))
  for (let i = 0; i < 200 * 10; i++) budget.earn(i / 200)
  // Two seconds of what came to it are open there, and three more come until it is known to be dead.
  expect(Array.from({ length: 5 * 25 }, () => budget.spend())).not.toContain(false)
})

test("what busy times saved is forgotten in quiet ones", () => {
  const budget = new RetryBudget(() => ({ retryShare: 0.2, retryBurst: 20 }))
  for (let i = 0; i < 2000; i++) budget.earn(i / 200)
  budget.earn(60)
  expect(spendAll(budget)).toBe(20)
})
