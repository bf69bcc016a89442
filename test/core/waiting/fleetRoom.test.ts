import { describe, expect, test } from "bun:test"
import { blocks, fleetOf, pod, requestOfWork } from "./waiters.ts"

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

describe("modest room", () => {
  test("is on the very pod that a request goes to, and larger than ample", () => {
    const scheduler = fleetOf(1, { room: { queueMaxS: 1e9, kvShareMax: 1, kvShareModest: 0.7, kvShareAmple: 0.5 } })
    scheduler.describe(pod(0).id, 16, 16_000, ["m"])
    const ofBlocks = (count: number, first: number) => requestOfWork(count * 16 * 1e-4, { chain: blocks(count, first) })
    scheduler.pick(ofBlocks(300, 1), [], 0)
    expect(scheduler.pick(ofBlocks(300, 10_000), [], 0, "ample")).toBe("busy")
    expect(typeof scheduler.pick(ofBlocks(300, 10_000), [], 0, "modest")).toBe("object")
    expect(scheduler.pick(ofBlocks(300, 20_000), [], 0, "modest")).toBe("busy")
    expect(typeof scheduler.pick(ofBlocks(300, 20_000), [], 0, "room")).toBe("object")
  })
})

describe("ample room", () => {
  test("is on the very pod that a request goes to, and smaller than room", () => {
    const scheduler = fleetOf(2, { room: { queueMaxS: 1e9, kvShareMax: 1, kvShareModest: 0.7, kvShareAmple: 0.5 } })
    for (const row of [0, 1]) scheduler.describe(pod(row).id, 16, 16_000, ["m"])
    const ofBlocks = (count: number, first: number) => requestOfWork(count * 16 * 1e-4, { chain: blocks(count, first) })
    scheduler.pick(ofBlocks(300, 1), [pod(1).id], 0)
    scheduler.pick(ofBlocks(100, 5000), [pod(0).id], 0)
    // The first pod would be picked otherwise, once the second has the longer queue.
    scheduler.pick(requestOfWork(9), [pod(0).id], 0)
    expect(scheduler.pick(ofBlocks(300, 10_000), [], 0, "ample")).toMatchObject({ address: { id: pod(1).id } })
    expect(scheduler.pick(ofBlocks(300, 20_000), [], 0, "ample")).toBe("busy")
    expect(typeof scheduler.pick(ofBlocks(300, 20_000), [], 0, "room")).toBe("object")
  })
})
