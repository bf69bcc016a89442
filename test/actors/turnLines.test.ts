import { expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { TurnLines } from "../../actors/TurnLines.ts"

test("the first lines of a window are written, the others are counted and told when it is over", () => {
  const lines = new TurnLines(2)
  expect([lines.next(0, 60), lines.next(1, 60), lines.next(2, 60)]).toEqual(["written", "last", "kept-back"])
  expect([lines.take(59, 60), lines.take(60, 60), lines.take(61, 60)]).toEqual([0, 1, 0])
  expect([lines.next(62, 60), lines.next(63, 60)]).toEqual(["last", "kept-back"])
})

test("a pod that turns seldom has each of its lines", () => {
  const lines = new TurnLines(2)
  expect([0, 60, 120].map((nowMs) => lines.next(nowMs, 60))).toEqual(["written", "written", "written"])
})

test("none is lost, and no window has more lines than it may", () => {
  const pauses = fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 300 })
  fc.assert(fc.property(pauses, fc.integer({ min: 1, max: 5 }), (pauses, linesMax) => {
    const lines = new TurnLines(linesMax)
    const writtenAt: Array<number> = []
    let [nowMs, told] = [0, 0]
    const look = (): void => {
      const keptBack = lines.take(nowMs, 60)
      told += keptBack
      if (keptBack > 0) writtenAt.push(nowMs)
    }
    for (const pauseMs of pauses) {
      nowMs += pauseMs
      look()
      if (lines.next(nowMs, 60) === "kept-back") continue
      told++
      writtenAt.push(nowMs)
    }
    nowMs += 60
    look()
    expect(told).toBe(pauses.length)
    // Of any 60 ms at most two windows have a share.
    for (const atMs of writtenAt) {
      expect(writtenAt.filter((other) => other >= atMs && other < atMs + 60).length).toBeLessThanOrEqual(2 * linesMax)
    }
  }))
})
