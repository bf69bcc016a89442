import { expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { DueHeap } from "../../src/core/DueHeap.ts"

test("entries come out when they are due, the earliest first", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 100 }), { maxLength: 64 }),
      fc.integer({ min: 0, max: 100 }),
      (dues, now) => {
        const heap = new DueHeap(64)
        dues.forEach((due, value) => heap.push(due, value))
        const out: Array<number> = []
        for (let value = heap.popDue(now); value >= 0; value = heap.popDue(now)) out.push(dues[value] ?? -1)
        expect(out).toEqual(dues.filter((due) => due <= now).sort((a, b) => a - b))
        expect(heap.length).toBe(dues.filter((due) => due > now).length)
      }
    )
  )
})

test("a full heap refuses and keeps what it has", () => {
  const heap = new DueHeap(1)
  expect(heap.push(1, 7)).toBe(true)
  expect(heap.push(0, 8)).toBe(false)
  expect(heap.popDue(5)).toBe(7)
})
