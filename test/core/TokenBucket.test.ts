import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { TokenBucket } from "../../src/core/TokenBucket.ts"

describe("TokenBucket", () => {
  test("holds a minute's worth and refills at its rate", () => {
    const bucket = new TokenBucket(60, 0)
    bucket.take(60, 0)
    expect(bucket.waitS(1, 0)).toBe(1)
    expect(bucket.waitS(30, 0)).toBe(30)
    expect(bucket.waitS(1, 1000)).toBe(0)
    expect(bucket.waitS(60, 3_600_000)).toBe(0)
  })

  test("what is charged later goes below zero and has to be paid back", () => {
    const bucket = new TokenBucket(60, 0)
    bucket.take(90, 0)
    expect(bucket.waitS(1, 0)).toBe(31)
  })

  test("more than a minute's worth needs a full bucket and no more", () => {
    const bucket = new TokenBucket(60, 0)
    expect(bucket.waitS(600, 0)).toBe(0)
    bucket.take(600, 0)
    expect(bucket.waitS(600, 0)).toBe(600)
  })

  test("another rate keeps what was used", () => {
    const bucket = new TokenBucket(60, 0)
    bucket.take(50, 0)
    bucket.resize(120, 0)
    expect(bucket.waitS(70, 0)).toBe(0)
    expect(bucket.waitS(71, 0)).toBeGreaterThan(0)
    bucket.resize(10, 0)
    expect(bucket.waitS(1, 0)).toBeGreaterThan(0)
  })

  test("a clock that goes back refills nothing", () => {
    const bucket = new TokenBucket(60, 10_000)
    bucket.take(60, 10_000)
    expect(bucket.waitS(1, 0)).toBe(1)
  })

  test("over any time no more is taken than a full bucket and what came in", () => {
    const step = fc.record({ waitMs: fc.integer({ min: 0, max: 30_000 }), amount: fc.integer({ min: 1, max: 100 }) })
    fc.assert(fc.property(fc.integer({ min: 1, max: 1000 }), fc.array(step, { maxLength: 60 }), (rate, steps) => {
      const bucket = new TokenBucket(rate, 0)
      let nowMs = 0
      let taken = 0
      let largest = 0
      for (const { amount, waitMs } of steps) {
        nowMs += waitMs
        if (bucket.waitS(amount, nowMs) > 0) continue
        bucket.take(amount, nowMs)
        taken += amount
        largest = Math.max(largest, amount)
      }
      expect(taken).toBeLessThanOrEqual(rate + (rate * nowMs) / 60_000 + largest + 1e-6)
    }))
  })
})
