import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { EventHeap } from "../../src/simulator/EventHeap.ts"

/** Few distinct times, so that many are equal. */
const times = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 3000 })

describe("the event heap", () => {
  test("gives events by time, and equal times in the order of pushing", () => {
    fc.assert(
      fc.property(times, (list) => {
        const heap = new EventHeap()
        list.forEach((timeS, index) => heap.push(timeS, index % 7, index, index * 2))
        const popped: Array<readonly [number, number]> = []
        while (heap.pop()) {
          expect([heap.kind, heap.version]).toEqual([heap.subject % 7, heap.subject * 2])
          popped.push([heap.timeS, heap.subject])
        }
        const expected = list.map((timeS, index) => [timeS, index] as const)
          .sort(([a, i], [b, j]) => a - b || i - j)
        expect(popped).toEqual(expected)
      }),
      { numRuns: 50 }
    )
  })

  test("takes events while it gives others out", () => {
    const heap = new EventHeap()
    heap.push(1, 0, 0)
    const seen: Array<number> = []
    while (heap.pop()) {
      seen.push(heap.timeS)
      if (heap.timeS < 5) heap.push(heap.timeS + 1, 0, 0)
      if (heap.timeS === 2) heap.push(9, 0, 0)
    }
    expect(seen).toEqual([1, 2, 3, 4, 5, 9])
  })
})
