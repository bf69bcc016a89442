import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { DueHeap } from "../../src/core/DueHeap.ts"
import type { RequestFeatures } from "../../src/core/RequestFeatures.ts"
import { Reservations } from "../../src/core/Reservations.ts"
import { RollingCount } from "../../src/core/RollingCount.ts"
import type { Placement } from "../../src/core/Placement.ts"
import { Scheduler, type SchedulerSettings } from "../../src/core/Scheduler.ts"
import { pod, requestOf, roundConstants } from "../policies/fleet.ts"

const breaker = { failuresInRow: 3, failureRatio: 0.5, requestsMin: 10, windowS: 20, openMinS: 4, openMaxS: 8 }

const settings = {
  openRequestsMax: 4,
  modelsMax: 2,
  prefixEntriesMax: 1024,
  initialOutputTokens: 10,
  guard: { breaker, slowStartS: 10, stallAfterS: 30, onChange: () => {} }
} satisfies SchedulerSettings

const requestFor = (model: string): RequestFeatures => ({ ...requestOf(100), model })

const started = (models: ReadonlyArray<ReadonlyArray<string>> = [["m"]]) => {
  const scheduler = new Scheduler({
    ...settings,
    policy: { type: "first", pick: ({ candidates }) => candidates[0] ?? -1 },
    podsMax: 8,
    random: () => 0.9
  })
  for (const [index, served] of models.entries()) {
    scheduler.join(pod(index), roundConstants)
    scheduler.describe(pod(index).id, 16, 16_000, served)
    scheduler.observe(pod(index).id, true, 0, 0, 0, 0)
  }
  return scheduler
}

const placed = (scheduler: Scheduler, nowS = 0): Placement => {
  const placement = scheduler.pick(requestFor("m"), [], nowS)
  if (typeof placement === "string") throw new Error(`refused: ${placement}`)
  return placement
}

describe("the bound of open requests", () => {
  test("grows and shrinks under requests that are open, each of which is given back once", () => {
    const scheduler = started()
    const before = Array.from({ length: 4 }, () => placed(scheduler))
    expect(scheduler.pick(requestFor("m"), [], 0)).toBe("too-many-open")
    scheduler.replaceSettings({ ...settings, openRequestsMax: 9 })
    const after = Array.from({ length: 5 }, () => placed(scheduler))
    expect(scheduler.pick(requestFor("m"), [], 0)).toBe("too-many-open")
    scheduler.replaceSettings({ ...settings, openRequestsMax: 2 })
    for (const { reservation } of [...before, ...after].slice(0, 8)) {
      expect(scheduler.pick(requestFor("m"), [], 0)).toBe("too-many-open")
      scheduler.firstToken(reservation, 1)
      scheduler.end(reservation, {}, 2)
      scheduler.end(reservation, {}, 2)
    }
    expect(scheduler.openRequests).toBe(1)
    placed(scheduler, 3)
    expect(scheduler.pick(requestFor("m"), [], 3)).toBe("too-many-open")
    expect(scheduler.table.decoding[0]).toBe(0)
    expect(scheduler.table.prefilling[0]).toBe(2)
  })

  test("moves while numbers keep naming the same slots, whatever is taken, given back and resized", () => {
    const step = fc.oneof(
      fc.constant("take" as const),
      fc.nat(9).map((index) => ({ giveBack: index })),
      fc.nat(12).map((slots) => ({ resize: slots }))
    )
    fc.assert(fc.property(fc.nat(6), fc.array(step, { maxLength: 60 }), (first, steps) => {
      const reservations = new Reservations(first)
      const open = new Map<number, number>()
      const closed = new Set<number>()
      let bound = first
      for (const what of steps) {
        if (what === "take") {
          const slot = reservations.take()
          expect(slot >= 0).toBe(open.size < bound)
          if (slot < 0) continue
          reservations.promptTokens[slot] = slot + 100
          open.set(reservations.numberOf(slot), slot)
        } else if ("resize" in what) {
          bound = what.resize
          reservations.resize(bound)
        } else {
          const [number, slot] = [...open][what.giveBack] ?? []
          if (number === undefined || slot === undefined) continue
          reservations.giveBack(slot)
          open.delete(number)
          closed.add(number)
        }
        expect(reservations.open).toBe(open.size)
        for (const [number, slot] of open) {
          expect([reservations.slotOf(number), reservations.promptTokens[slot]]).toEqual([slot, slot + 100])
        }
        for (const number of closed) expect(reservations.slotOf(number)).toBe(-1)
      }
    }))
  })

  test("leaves what is due in its order", () => {
    const heap = new DueHeap(2)
    heap.push(3, 30)
    heap.push(1, 10)
    expect(heap.push(2, 20)).toBe(false)
    heap.grow(3)
    expect(heap.push(2, 20)).toBe(true)
    expect([9, 9, 9].map((nowS) => heap.popDue(nowS))).toEqual([10, 20, 30])
  })
})

describe("the bound of models", () => {
  const pick = (scheduler: Scheduler, model: string) => {
    const outcome = scheduler.pick(requestFor(model), [], 0)
    if (typeof outcome === "string") return outcome
    scheduler.end(outcome.reservation, {}, 0)
    return "placed"
  }

  test("lets those in that it had left out, and takes none away that are served", () => {
    const scheduler = started([["one", "two"], ["three"]])
    expect(["one", "two", "three"].map((model) => pick(scheduler, model))).toEqual([
      "placed",
      "placed",
      "unknown-model"
    ])
    scheduler.replaceSettings({ ...settings, modelsMax: 3 })
    expect(pick(scheduler, "three")).toBe("placed")
    scheduler.replaceSettings({ ...settings, modelsMax: 1 })
    scheduler.describe(pod(0).id, 16, 16_000, ["one", "two", "four"])
    expect(["one", "two", "three", "four"].map((model) => pick(scheduler, model))).toEqual([
      "placed",
      "placed",
      "placed",
      "unknown-model"
    ])
  })

  test("forgets the oldest lengths beyond it, and models that never answered get the new first guess", () => {
    const scheduler = started()
    for (const model of ["one", "two"]) scheduler.outputLengths.learn(model, 50)
    scheduler.replaceSettings({ ...settings, modelsMax: 1, initialOutputTokens: 77 })
    expect(["one", "two", "new"].map((model) => scheduler.outputLengths.expected(model, undefined))).toEqual([
      77,
      50,
      77
    ])
  })
})

describe("other settings of breakers", () => {
  const fail = (scheduler: Scheduler, times: number, nowS: number): void => {
    for (let i = 0; i < times; i++) scheduler.podFailed(pod(0).id, -1, true, "reset", nowS)
  }

  test("count from the next failure on, and the failures so far with it", () => {
    const scheduler = started()
    fail(scheduler, 2, 0)
    scheduler.replaceSettings({ ...settings, guard: { ...settings.guard, breaker: { ...breaker, failuresInRow: 5 } } })
    fail(scheduler, 2, 1)
    expect(scheduler.guard.stateOf(0)).toBe("closed")
    fail(scheduler, 1, 1)
    expect(scheduler.guard.stateOf(0)).toBe("open")
  })

  test("leave an open one open for as long as it said, and the next time is of the new length", () => {
    const scheduler = started()
    fail(scheduler, 3, 0)
    scheduler.replaceSettings({
      ...settings,
      guard: { ...settings.guard, breaker: { ...breaker, openMinS: 1, openMaxS: 1 } }
    })
    expect(scheduler.pick(requestFor("m"), [], 3.9)).toBe("no-pod")
    const probe = placed(scheduler, 4)
    expect(probe.probes).toBe(true)
    scheduler.podFailed(pod(0).id, probe.reservation, true, "reset", 5)
    expect(scheduler.pick(requestFor("m"), [], 5.9)).toBe("no-pod")
    expect(placed(scheduler, 6).probes).toBe(true)
  })

  test("end a slow start sooner where it is made shorter", () => {
    const scheduler = started([["m"], ["m"]])
    scheduler.observe(pod(0).id, false, 0, 0, 0, 20)
    scheduler.observe(pod(0).id, true, 0, 0, 0, 30)
    expect(placed(scheduler, 33).address).toEqual(pod(1))
    scheduler.replaceSettings({ ...settings, guard: { ...settings.guard, slowStartS: 2 } })
    expect(placed(scheduler, 33).address).toEqual(pod(0))
  })

  test("pass over a stuck pod after the new time", () => {
    const scheduler = started([["m"], ["m"]])
    placed(scheduler)
    expect(placed(scheduler, 20).address).toEqual(pod(0))
    scheduler.replaceSettings({ ...settings, guard: { ...settings.guard, stallAfterS: 5 } })
    expect(placed(scheduler, 20).address).toEqual(pod(1))
  })

  test("count over the new window", () => {
    const count = new RollingCount(4)
    count.add(0)
    count.resize(40)
    expect(count.total(15)).toBe(1)
    count.resize(4)
    expect(count.total(15)).toBe(0)
  })
})

test("a smaller room for KV blocks refuses new ones, a larger one takes them again", () => {
  const scheduler = started()
  scheduler.replaceSettings({ ...settings, prefixEntriesMax: 2 })
  expect(scheduler.index.entriesMax).toBe(2)
  const chain = {
    low: Uint32Array.from([1, 2, 3, 4]),
    high: Uint32Array.from([5, 6, 7, 8]),
    length: 4
  }
  const fill = (nowS: number) => {
    const placement = scheduler.pick({ ...requestFor("m"), chain: () => chain }, [], nowS)
    if (typeof placement === "string") throw new Error(placement)
    scheduler.firstToken(placement.reservation, nowS)
    scheduler.end(placement.reservation, { outputTokens: 1 }, nowS)
  }
  fill(1)
  expect(scheduler.index.entryCount).toBe(2)
  scheduler.replaceSettings({ ...settings, prefixEntriesMax: 10 })
  fill(2)
  expect(scheduler.index.entryCount).toBe(4)
})
