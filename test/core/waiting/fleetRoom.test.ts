import { describe, expect, test } from "bun:test"
import { fleetOf, pod, requestOfWork } from "./waiters.ts"

const blocks = (count: number, first: number) => () => ({
  low: Uint32Array.from({ length: count }, (_, i) => first + i),
  high: new Uint32Array(count).fill(7),
  length: count
})

describe("room in a queue", () => {
  test("is there up to the bound, and time makes some before the first token does", () => {
    const scheduler = fleetOf(1, { room: { queueMaxS: 1 } })
    expect(typeof scheduler.pick(requestOfWork(1), [], 0, "turn")).toBe("object")
    expect(typeof scheduler.pick(requestOfWork(1), [], 0, "turn")).toBe("object")
    expect(scheduler.pick(requestOfWork(1), [], 0, "turn")).toBe("busy")
    expect(scheduler.mayHaveRoom(0.9, undefined)).toBe(false)
    // At least one of the two seconds must be over by then.
    expect(scheduler.mayHaveRoom(1, undefined)).toBe(true)
  })

  test("is what any pod has that takes requests, and nobody is held back where none does", () => {
    const scheduler = fleetOf(2)
    scheduler.pick(requestOfWork(1), [], 0)
    expect(scheduler.mayHaveRoom(0, undefined)).toBe(true)
    scheduler.observe(pod(1).id, false, 0, 0, 0, 0)
    expect(scheduler.mayHaveRoom(0, undefined)).toBe(false)
    scheduler.observe(pod(0).id, false, 0, 0, 0, 0)
    expect(scheduler.mayHaveRoom(0, undefined)).toBe(true)
  })

  test("never lets a request wait that waits for nothing", () => {
    const scheduler = fleetOf(1)
    for (let i = 0; i < 5; i++) expect(typeof scheduler.pick(requestOfWork(1), [], 0)).toBe("object")
  })
})

describe("room for a prompt's KV", () => {
  test("is there up to the share of the capacity, cached tokens not counted twice, and always on an empty pod", () => {
    const scheduler = fleetOf(1, { room: { queueMaxS: 1e9, kvShareMax: 1 } })
    scheduler.describe(pod(0).id, 16, 16_000, ["m"])
    const ofBlocks = (count: number, first: number) => requestOfWork(count * 16 * 1e-4, { chain: blocks(count, first) })
    expect(typeof scheduler.pick(ofBlocks(2000, 1), [], 0, "room")).toBe("object")
    const fresh = fleetOf(1, { room: { queueMaxS: 1e9, kvShareMax: 1 } })
    fresh.describe(pod(0).id, 16, 16_000, ["m"])
    fresh.pick(ofBlocks(600, 1), [], 0)
    expect(fresh.pick(ofBlocks(600, 10_000), [], 0, "room")).toBe("busy")
    expect(typeof fresh.pick(ofBlocks(600, 1), [], 0, "room")).toBe("object")
    expect(typeof fresh.pick(ofBlocks(600, 10_000), [], 0, "turn")).toBe("object")
  })
})
