import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import type { Lateness } from "../../bench/chaos/lateness.ts"
import { isTraced, longestStall, longestWayMs, type StreamTrace } from "../../bench/chaos/stalls.ts"

const trace = (fields: Partial<StreamTrace>): StreamTrace => ({
  eventMs: [11, 21, 151, 161],
  writtenMs: [10, 20, 30, 160],
  podLate: [],
  clientLate: [],
  ...fields
})

describe("a stall of a stream", () => {
  test("is what its pod did not write", () => {
    const stall = longestStall(trace({ writtenMs: [10, 20, 150, 160], podLate: [{ startMs: 100, endMs: 145 }] }))
    expect(stall).toMatchObject({ ms: 130, podMs: 130, podLateMs: 45, clientMs: 0, betweenMs: 0 })
  })

  test("is what lay between pod and client", () => {
    expect(longestStall(trace({}))).toMatchObject({ ms: 130, podMs: 10, clientMs: 0, betweenMs: 120 })
  })

  test("is what lay before a client that was late", () => {
    const stall = longestStall(trace({ clientLate: [{ startMs: 40, endMs: 150 }] }))
    expect(stall).toMatchObject({ ms: 130, podMs: 10, clientMs: 110, betweenMs: 10 })
  })

  test("is in its parts as a whole, whatever came when", () => {
    const steps = fc.array(fc.nat(300), { minLength: 2, maxLength: 30 })
    const lates = fc.array(fc.record({ startMs: fc.nat(5000), lastMs: fc.nat(300) }), { maxLength: 5 }).map((all) =>
      all.map(({ lastMs, startMs }): Lateness => ({ startMs, endMs: startMs + lastMs }))
    )
    fc.assert(
      fc.property(steps, fc.array(fc.nat(300), { minLength: 30 }), lates, lates, (gaps, ways, podLate, clientLate) => {
        let nowMs = 0
        let cameMs = 0
        const writtenMs = gaps.map((gap) => nowMs += gap)
        const eventMs = writtenMs.map((wrote, event) => cameMs = Math.max(cameMs, wrote + ways[event]!))
        const stall = longestStall({ eventMs, writtenMs, podLate, clientLate })
        expect(stall.podMs + stall.clientMs + stall.betweenMs).toBe(stall.ms)
        for (const part of [stall.podMs, stall.clientMs, stall.betweenMs]) expect(part).toBeGreaterThanOrEqual(0)
        expect(stall.podLateMs).toBeLessThanOrEqual(stall.podMs)
        expect(stall.ms).toBe(Math.max(...eventMs.slice(1).map((atMs, before) => atMs - eventMs[before]!)))
      })
    )
  })
})

test("the longest way of an event leaves out what the client was late", () => {
  expect(longestWayMs(trace({}))).toBe(121)
  expect(longestWayMs(trace({ clientLate: [{ startMs: 100, endMs: 151 }] }))).toBe(70)
})

test("a stream is traced only when pod and client tell of the same events", () => {
  expect(isTraced(trace({}))).toBe(true)
  expect(isTraced(trace({ writtenMs: [10, 20, 30] }))).toBe(false)
  expect(isTraced(trace({ eventMs: [1], writtenMs: [1] }))).toBe(false)
})
