import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { AskTimes } from "../../src/core/AskTimes.ts"

const never = Number.NEGATIVE_INFINITY

describe("times of asks", () => {
  test("are told at the next ask for the same key, 0 too", () => {
    const times = new AskTimes(1000)
    for (const key of [0, 1, -1, 1 << 30]) {
      expect(times.exchange(key, 1)).toBe(never)
      expect(times.exchange(key, 2)).toBe(1)
      expect(times.exchange(key, 5)).toBe(2)
    }
  })

  test("of more keys than there is room for are forgotten where the last ask was longest ago", () => {
    const times = new AskTimes(8)
    for (let key = 0; key < 8; key++) times.exchange(key, key)
    times.exchange(0, 8)
    expect(times.exchange(100, 9)).toBe(never)
    expect(times.exchange(0, 10)).toBe(8)
    expect(times.exchange(1, 11)).toBe(never)
  })

  test("are those of the last ask or none, whatever was asked for between", () => {
    const keys = fc.array(fc.oneof(fc.integer(), fc.integer({ min: -20, max: 20 })), { maxLength: 300 })
    fc.assert(fc.property(keys, fc.integer({ min: 1, max: 64 }), (keys, keysMax) => {
      const times = new AskTimes(keysMax)
      const last = new Map<number, number>()
      keys.forEach((key, at) => {
        expect([never, last.get(key) ?? never]).toContain(times.exchange(key, at))
        last.set(key, at)
      })
    }))
  })
})

test("as many random keys as half of the room are nearly all remembered", () => {
  const times = new AskTimes(4096)
  for (let key = 0; key < 2048; key++) times.exchange(Math.imul(key, 0x85ebca6b), 1)
  let known = 0
  for (let key = 0; key < 2048; key++) if (times.exchange(Math.imul(key, 0x85ebca6b), 2) === 1) known++
  expect(known).toBeGreaterThan(0.95 * 2048)
})
