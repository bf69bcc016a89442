import { describe, expect, test } from "bun:test"
import type { Placement } from "../../../src/core/Placement.ts"
import { Admission } from "../../../src/core/waiting/Admission.ts"
import { admissionDefaults, type AdmissionOptions } from "../../../src/core/waiting/AdmissionOptions.ts"
import { fleetRoomDefaults } from "../../../src/core/waiting/FleetRoom.ts"
import { fleetOf, pod, requestOfWork, termsOf } from "./waiters.ts"

const chainOf = (count: number, first: number) => () => ({
  low: Uint32Array.from({ length: count }, (_, i) => first + i),
  high: new Uint32Array(count).fill(7),
  length: count
})

/** A prompt of so many blocks of 16 tokens. */
const prompt = (blocks: number, first: number) => requestOfWork(blocks * 16 * 1e-4, { chain: chainOf(blocks, first) })

const deskOf = (scheduler: ReturnType<typeof fleetOf>, options: Partial<AdmissionOptions> = {}) => {
  const placed = new Map<number, Placement>()
  const refused = new Map<number, string>()
  const note = (ticket: number, outcome: Placement | string): string => {
    if (typeof outcome === "string") refused.set(ticket, outcome)
    else placed.set(ticket, outcome)
    return typeof outcome === "string" ? outcome : "placed"
  }
  const admission = new Admission<number>(
    scheduler,
    { ...admissionDefaults, ...options },
    ({ ticket }, outcome) => void note(ticket, outcome)
  )
  return {
    admission,
    placed,
    refused,
    submit: (ticket: number, nowS: number, request = requestOfWork(1), bytes = 0): string => {
      const outcome = admission.submit(request, [], termsOf({ bytes }), ticket, nowS)
      return outcome === "waiting" ? outcome : note(ticket, outcome)
    },
    reload: (changes: Partial<AdmissionOptions>, nowS: number) => {
      admission.replaceOptions({ ...admissionDefaults, ...options, ...changes })
      admission.settle(nowS)
    }
  }
}

describe("while requests wait, a reload", () => {
  test("of bytesMax puts nobody out, and lets others in only within the new bound", () => {
    const desk = deskOf(fleetOf(1), { bytesMax: 100 })
    desk.submit(0, 0)
    for (const ticket of [1, 2]) expect(desk.submit(ticket, 0, requestOfWork(1), 40)).toBe("waiting")
    desk.reload({ bytesMax: 50 }, 1)
    expect([desk.admission.room.count, desk.refused.size]).toEqual([2, 0])
    expect(desk.submit(3, 1, requestOfWork(1), 1)).toBe("queue-full")
    desk.reload({ bytesMax: 200 }, 2)
    expect(desk.submit(4, 2, requestOfWork(1), 120)).toBe("waiting")
  })

  test("of patience counts for those inside from when they came, in both directions", () => {
    const waitingForKv = () => {
      const scheduler = fleetOf(1, { room: { queueMaxS: 1e9 } })
      scheduler.describe(pod(0).id, 16, 20_000, ["m"])
      const desk = deskOf(scheduler, { patienceS: 60 })
      desk.submit(0, 0, prompt(625, 1))
      expect(desk.submit(1, 0, prompt(937, 5000))).toBe("waiting")
      return desk
    }
    const shorter = waitingForKv()
    shorter.reload({ patienceS: 30 }, 20)
    expect(shorter.placed.has(1)).toBe(false)
    shorter.admission.settle(30)
    expect(shorter.placed.has(1)).toBe(true)
    const longer = waitingForKv()
    longer.reload({ patienceS: 90 }, 59)
    longer.admission.settle(89)
    expect(longer.placed.has(1)).toBe(false)
    longer.admission.settle(90)
    expect(longer.placed.has(1)).toBe(true)
  })

  test("of giantTokens sends off a prompt that is no giant any more, and holds back those that are now", () => {
    const room = { queueMaxS: 1e9, kvShareMax: 2 }
    const cachingFleet = (giantTokens: number) => {
      const scheduler = fleetOf(1, { room: { ...room, giantTokens } })
      scheduler.describe(pod(0).id, 16, 16_000, ["m"])
      // What fills the pod's cache is asked for each second.
      for (let nowS = 0; nowS < 10; nowS++) {
        const outcome = scheduler.pick(prompt(900, 1), [], nowS)
        if (typeof outcome === "string") throw new Error(outcome)
        scheduler.firstToken(outcome.reservation, nowS)
        scheduler.end(outcome.reservation, {}, nowS)
      }
      const desk = deskOf(scheduler)
      expect(desk.submit(0, 10, prompt(10, 90_000))).toBe("placed")
      const reload = (giantTokens: number): void =>
        scheduler.replaceSettings({
          openRequestsMax: 100,
          modelsMax: 4,
          prefixEntriesMax: 100_000,
          initialOutputTokens: 1,
          room: { ...fleetRoomDefaults, ...room, giantTokens }
        })
      return { desk, reload }
    }
    const smaller = cachingFleet(10_000)
    expect(smaller.desk.submit(1, 10, prompt(900, 50_000))).toBe("waiting")
    smaller.reload(20_000)
    smaller.desk.admission.settle(10.1)
    expect(smaller.desk.placed.has(1)).toBe(true)
    const larger = cachingFleet(20_000)
    larger.reload(10_000)
    expect(larger.desk.submit(1, 10, prompt(900, 50_000))).toBe("waiting")
  })

  test("of the TTFT target leaves those inside the time that they came with, and hurries those who come", () => {
    const scheduler = fleetOf(1)
    const desk = deskOf(scheduler, { overloadAfterS: 4 })
    let ticket = 0
    // Twice what one pod can do.
    for (let tenths = 0; tenths <= 100; tenths++) {
      for (const [placed, { reservation }] of desk.placed) {
        desk.placed.delete(placed)
        scheduler.end(reservation, {}, tenths / 10)
      }
      desk.admission.settle(tenths / 10)
      for (const _ of [1, 2]) desk.submit(++ticket, tenths / 10, requestOfWork(0.1))
    }
    const inside = desk.admission.room.count
    expect(inside).toBeGreaterThan(90)
    desk.reload({ overloadAfterS: 4, overloadWaitS: 1 }, 10.1)
    desk.admission.settle(10.2)
    expect([desk.admission.room.count, desk.refused.size]).toEqual([inside, 0])
    expect(desk.submit(++ticket, 10.2, requestOfWork(0.1))).toBe("queue-too-long")
    expect(desk.admission.retryAfterS()).toBeWithin(2, 61)
  })
})
