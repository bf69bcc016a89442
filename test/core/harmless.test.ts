import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { harmless } from "../../src/core/harmless.ts"

describe("harmless callbacks", () => {
  test("pass arguments and answers through", () => {
    const callbacks = harmless({ sum: (a: number, b: number, c: number, d: number) => a + b + c + d }, () => {})
    expect(callbacks.sum(1, 2, 3, 4)).toBe(10)
  })

  test("never throw, and tell of the 1st, 10th, 100th … time of each", () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 1200 }), fc.integer({ min: 0, max: 120 }), (as, bs) => {
      const told: Array<string> = []
      const defect = (): void => {
        throw new Error("a defect")
      }
      const callbacks = harmless({ a: defect, b: defect }, (name, times) => void told.push(`${name} ${times}`))
      for (let a = 0; a < as; a++) callbacks.a()
      for (let b = 0; b < bs; b++) callbacks.b()
      const upTo = (name: string, times: number) =>
        [1, 10, 100, 1000].filter((told) => told <= times).map((told) => `${name} ${told}`)
      expect(told).toEqual([...upTo("a", as), ...upTo("b", bs)])
    }))
  })
})
