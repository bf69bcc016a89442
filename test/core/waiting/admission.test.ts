import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import type { Policy } from "../../../src/core/Policy.ts"
import type { RequestFeatures } from "../../../src/core/RequestFeatures.ts"
import type { Placement } from "../../../src/core/Placement.ts"
import type { Scheduler } from "../../../src/core/Scheduler.ts"
import { Admission } from "../../../src/core/waiting/Admission.ts"
import { admissionDefaults, type AdmissionOptions } from "../../../src/core/waiting/AdmissionOptions.ts"
import type { WaitingTerms } from "../../../src/core/waiting/Waiting.ts"
import { blocks, fleetOf, pod, requestOfWork, termsOf } from "./waiters.ts"

/** An admission whose answers are kept, and that of `submit` with them, by ticket. */
class Desk {
  readonly scheduler: Scheduler
  readonly admission: Admission<number>
  readonly answers = new Map<number, Array<string>>()
  readonly placements = new Map<number, Placement>()
  readonly order: Array<number> = []
  readonly gone = new Set<number>()
  readonly features = new Map<number, RequestFeatures>()

  constructor(options: Partial<AdmissionOptions> = {}, scheduler = fleetOf(1)) {
    this.scheduler = scheduler
    this.admission = new Admission<number>(
      scheduler,
      { ...admissionDefaults, ...options },
      ({ ticket }, outcome) => this.note(ticket, outcome),
      (ticket) => this.gone.has(ticket)
    )
  }

  submit(ticket: number, nowS: number, ownS = 1, terms: Partial<WaitingTerms> = {}, request = requestOfWork(ownS)) {
    this.features.set(ticket, request)
    const outcome = this.admission.submit(request, [], termsOf(terms), ticket, nowS)
    if (outcome !== "waiting") this.note(ticket, outcome)
    return typeof outcome === "string" ? outcome : "placed"
  }

  /** The pod gave the first token of a placed request, so it has room again. */
  prefilled(ticket: number, nowS: number): void {
    this.scheduler.firstToken(this.placements.get(ticket)!.reservation, nowS)
    this.admission.settle(nowS)
  }

  outcome(ticket: number): string | undefined {
    return this.answers.get(ticket)?.join(" and ")
  }

  private note(ticket: number, outcome: Placement | string): void {
    const word = typeof outcome === "string" ? outcome : "placed"
    this.answers.set(ticket, [...this.answers.get(ticket) ?? [], word])
    if (typeof outcome === "string") return
    this.placements.set(ticket, outcome)
    this.order.push(ticket)
  }
}

describe("a request", () => {
  test("is placed at once while a pod has room, and waits while none has", () => {
    const desk = new Desk()
    expect(desk.submit(1, 0)).toBe("placed")
    expect(desk.submit(2, 0)).toBe("waiting")
    desk.prefilled(1, 1)
    expect(desk.outcome(2)).toBe("placed")
    expect(desk.admission.room.count).toBe(0)
  })

  test("does not pass those that wait when more pods than it has a look at have room at once", () => {
    const pods = 6
    const desk = new Desk({}, fleetOf(pods))
    for (let ticket = 0; ticket < 2 * pods; ticket++) desk.submit(ticket, 0)
    desk.admission.settle(0.06)
    for (let ticket = 0; ticket < pods; ticket++) {
      desk.scheduler.firstToken(desk.placements.get(ticket)!.reservation, 0.07)
    }
    expect(desk.submit(2 * pods, 0.07)).toBe("waiting")
    expect(desk.order).toEqual(Array.from({ length: 2 * pods }, (_, ticket) => ticket))
  })

  test("does not pass those that wait although a pod has room for it now", () => {
    const desk = new Desk({}, fleetOf(1))
    desk.submit(1, 0)
    desk.submit(2, 0)
    desk.scheduler.firstToken(desk.placements.get(1)!.reservation, 1)
    expect(desk.submit(3, 1)).toBe("waiting")
    expect(desk.order).toEqual([1, 2])
  })

  test("goes at once to a pod that nobody of those who wait can use", () => {
    const scheduler = fleetOf(2)
    scheduler.describe(pod(1).id, 16, 1e7, ["other"])
    const desk = new Desk({}, scheduler)
    for (let ticket = 0; ticket < 10; ticket++) desk.submit(ticket, 0)
    desk.submit(99, 0, 1, {}, requestOfWork(1, { model: "other" }))
    expect(desk.outcome(99)).toBe("placed")
  })

  test("is refused at once for what waiting would not mend", () => {
    const desk = new Desk()
    desk.submit(1, 0)
    desk.submit(2, 0)
    expect(desk.submit(3, 0, 1, {}, requestOfWork(1, { model: "unknown" }))).toBe("unknown-model")
  })

  test("hears of it when the last pod is lost, and so do all that wait", () => {
    const desk = new Desk()
    for (let ticket = 0; ticket < 600; ticket++) desk.submit(ticket, 0)
    desk.scheduler.observe(pod(0).id, false, 0, 0, 0, 1)
    for (let tick = 0; tick < 3; tick++) desk.admission.settle(1 + tick / 20)
    expect(desk.admission.room.count).toBe(0)
    expect(desk.outcome(599)).toBe("no-pod")
  })

  test("that leaves is answered and takes no pod", () => {
    const desk = new Desk()
    for (const ticket of [1, 2, 3]) desk.submit(ticket, 0)
    expect(desk.admission.cancel(desk.features.get(2)!)).toBe(true)
    expect(desk.admission.cancel(desk.features.get(2)!)).toBe(false)
    desk.prefilled(1, 1)
    expect(desk.order).toEqual([1, 3])
    expect(desk.outcome(2)).toBe("client-left")
  })

  test("whose asker gave up holds no reservation", () => {
    const desk = new Desk()
    desk.submit(1, 0)
    desk.submit(2, 0)
    desk.gone.add(2)
    desk.prefilled(1, 1)
    expect(desk.outcome(2)).toBe("client-left")
    expect(desk.scheduler.openRequests).toBe(1)
  })

  test("whose asker gave up just now leaves the room to the next", () => {
    const desk = new Desk()
    for (const ticket of [1, 2, 3]) desk.submit(ticket, 0)
    desk.admission.settle(1)
    desk.gone.add(2)
    // Before those that are gone are looked for again.
    desk.prefilled(1, 1.01)
    expect([desk.outcome(2), desk.outcome(3)]).toEqual(["client-left", "placed"])
  })

  test("waits no longer than it may", () => {
    const desk = new Desk()
    desk.submit(1, 0)
    desk.submit(2, 0, 1, { deadlineS: 5 })
    desk.submit(3, 0, 1, { deadlineS: 6 })
    desk.admission.settle(4.9)
    expect(desk.outcome(2)).toBeUndefined()
    desk.admission.settle(5)
    expect(desk.outcome(2)).toBe("waited-too-long")
    expect(desk.outcome(3)).toBeUndefined()
  })

  test("that may not wait at all is refused where it would have to", () => {
    const desk = new Desk()
    expect(desk.submit(1, 0, 1, { deadlineS: 0 })).toBe("placed")
    expect(desk.submit(2, 0, 1, { deadlineS: 0 })).toBe("waited-too-long")
  })
})

/** Serves one request a second on one pod until `untilS`, with more waiting all the time. */
const steadily = (desk: Desk, untilS: number): void => {
  let ticket = 10_000
  desk.submit(ticket, 0)
  for (let nowS = 0; nowS < untilS; nowS++) {
    while (desk.admission.room.count < 10) desk.submit(++ticket, nowS)
    desk.prefilled(desk.order.at(-1)!, nowS + 1)
  }
}

describe("the pace of departures", () => {
  test("makes Retry-After the time in which those that wait will have gone", () => {
    const desk = new Desk()
    steadily(desk, 30)
    expect(desk.admission.room.count).toBe(9)
    expect(desk.admission.retryAfterS()).toBeWithin(7, 12)
  })

  test("is known a second after a fleet that was idle is full", () => {
    const desk = new Desk()
    desk.submit(0, 1000)
    for (let i = 1; i <= 40; i++) desk.submit(i, 1000, 0.1)
    for (let tenths = 1; tenths <= 20; tenths++) desk.prefilled(desk.order.at(-1)!, 1000 + tenths / 10)
    expect(desk.admission.room.count).toBe(20)
    expect(desk.admission.retryAfterS()).toBeWithin(2, 4)
  })

  test("refuses at once a request whose turn would come too late, and not one that can make it", () => {
    const desk = new Desk()
    steadily(desk, 30)
    expect(desk.submit(1, 30, 1, { deadlineS: 33 })).toBe("queue-too-long")
    expect(desk.submit(2, 30, 1, { deadlineS: 60 })).toBe("waiting")
    // Nothing is ahead of it in its own flow, so its turn is next but one.
    expect(desk.submit(3, 30, 1, { deadlineS: 33, flow: "other" })).toBe("waiting")
  })
})

describe("a full room", () => {
  test("refuses who comes, by number and by bytes", () => {
    const desk = new Desk({ requestsMax: 2, bytesMax: 100 })
    desk.submit(0, 0)
    expect(desk.submit(1, 0, 1, { bytes: 60 })).toBe("waiting")
    expect(desk.submit(2, 0, 1, { bytes: 50 })).toBe("queue-full")
    expect(desk.submit(3, 0, 1, { bytes: 40 })).toBe("waiting")
    expect(desk.submit(4, 0)).toBe("queue-full")
  })

  test("gives up a request of negative priority for one of a higher one", () => {
    const desk = new Desk({ requestsMax: 2 })
    desk.submit(0, 0)
    desk.submit(1, 0, 1, { priority: -1 })
    desk.submit(2, 0, 1, { priority: 0 })
    expect(desk.submit(3, 0, 1, { priority: -1 })).toBe("queue-full")
    expect(desk.submit(4, 0)).toBe("waiting")
    expect(desk.outcome(1)).toBe("queue-full")
    expect(desk.submit(5, 0, 1, { priority: 9 })).toBe("queue-full")
  })

  test("gives up nobody for a request that would not fit even then", () => {
    const desk = new Desk({ bytesMax: 100 })
    desk.submit(0, 0)
    desk.submit(1, 0, 1, { priority: -1, bytes: 50 })
    expect(desk.submit(2, 0, 1, { bytes: 101 })).toBe("queue-full")
    expect(desk.outcome(1)).toBeUndefined()
  })
})

describe("a band with a bound of its own", () => {
  test("leaves a pod alone that has more prefill ahead, while others take it", () => {
    const scheduler = fleetOf(1, { room: { queueMaxS: 10 } })
    const desk = new Desk({ bandQueueMaxS: new Map([[0, 0.5]]) }, scheduler)
    expect(desk.submit(1, 0)).toBe("placed")
    expect(desk.submit(2, 0)).toBe("waiting")
    desk.submit(3, 0, 1, { priority: 1 })
    expect(desk.outcome(3)).toBe("placed")
    desk.prefilled(1, 1)
    expect(desk.outcome(2)).toBeUndefined()
    desk.prefilled(3, 2)
    expect(desk.outcome(2)).toBe("placed")
  })
})

describe("a band below one that is in use", () => {
  const short = { shortQueueMaxS: 0.5, yieldForS: 60 }
  const longQueues = () => fleetOf(1, { room: { queueMaxS: 1000 } })

  test("leaves short queues to the other's next request, and long ones once that has not come for a while", () => {
    const desk = new Desk(short, longQueues())
    expect(desk.submit(1, 0, 100, { priority: 1 })).toBe("placed")
    expect(desk.submit(2, 59)).toBe("waiting")
    expect(desk.admission.whyWait(requestOfWork(1), termsOf(), 59)).toBe(
      "what room the pods have is left to bands above its own, which are in use; 1 wait"
    )
    desk.admission.settle(59.9)
    expect(desk.outcome(2)).toBeUndefined()
    desk.admission.settle(60)
    expect(desk.outcome(2)).toBe("placed")
    expect(desk.submit(3, 60)).toBe("placed")
  })

  test("does so whoever came in between", () => {
    const desk = new Desk(short, longQueues())
    for (const [ticket, priority] of [2, 1, -1].entries()) desk.submit(ticket, 0, 0.1, { priority })
    for (const ticket of [0, 1, 2]) desk.prefilled(ticket, 1)
    expect(desk.submit(3, 30, 1, { priority: 1 })).toBe("placed")
    expect(desk.submit(4, 30, 1, { priority: 1 })).toBe("waiting")
  })

  test("does not where it has a bound of its own, or where nobody is to yield", () => {
    const bound = new Desk({ ...short, bandQueueMaxS: new Map([[0, 5]]) }, longQueues())
    const boundless = new Desk({ ...short, yieldForS: 0 }, longQueues())
    for (const desk of [bound, boundless]) {
      desk.submit(1, 0, 1, { priority: 1 })
      expect(desk.submit(2, 0)).toBe("placed")
    }
  })

  test("leaves a little KV on the pod that it goes to", () => {
    const scheduler = fleetOf(1, { room: { queueMaxS: 1e9, kvShareMax: 1, kvShareModest: 0.9 } })
    scheduler.describe(pod(0).id, 16, 21_000, ["m"])
    const desk = new Desk({ yieldForS: 60 }, scheduler)
    const ofBlocks = (length: number, first: number) => requestOfWork(1, { chain: blocks(length, first) })
    desk.submit(1, 0, 1, { priority: 1 }, ofBlocks(625, 1))
    expect(desk.submit(2, 0, 1, {}, ofBlocks(600, 10_000))).toBe("waiting")
    desk.submit(3, 0, 1, { priority: 1 }, ofBlocks(600, 20_000))
    expect(desk.outcome(3)).toBe("placed")
  })
})

describe("patience", () => {
  test("is what a prompt has that does not fit into the KV: after it, its turn is enough", () => {
    const scheduler = fleetOf(1, { room: { queueMaxS: 1e9 } })
    scheduler.describe(pod(0).id, 16, 20_000, ["m"])
    const desk = new Desk({ patienceS: 60 }, scheduler)
    desk.submit(1, 0, 1, {}, requestOfWork(1, { chain: blocks(625, 1) }))
    desk.submit(2, 0, 1.5, {}, requestOfWork(1.5, { chain: blocks(937, 5000) }))
    expect(desk.outcome(2)).toBeUndefined()
    desk.admission.settle(59.9)
    expect(desk.outcome(2)).toBeUndefined()
    desk.admission.settle(60)
    expect(desk.outcome(2)).toBe("placed")
  })
})

describe("a policy that crashes on a request", () => {
  const crashing = (on: (tokens: number) => boolean): Policy => ({
    type: "crashing",
    isRevocable: true,
    pick: ({ candidates, request }) => {
      if (on(request.promptTokens)) throw new Error("defect")
      return candidates[0] ?? -1
    }
  })

  test("ends that request as broken, and the exception goes up", () => {
    const desk = new Desk({}, fleetOf(1, { policy: crashing((tokens) => tokens === 5000) }))
    desk.submit(1, 0)
    desk.submit(2, 0, 0.5)
    desk.submit(3, 0, 2)
    expect(() => desk.prefilled(1, 1)).toThrow("defect")
    expect(desk.outcome(2)).toBe("broken")
    desk.admission.settle(1)
    expect(desk.outcome(3)).toBe("placed")
  })

  test("leaves nothing behind of the newcomer at whose coming it crashed", () => {
    const desk = new Desk({}, fleetOf(1, { policy: crashing((tokens) => tokens === 5000) }))
    desk.submit(1, 0)
    desk.submit(2, 0, 0.5)
    desk.scheduler.firstToken(desk.placements.get(1)!.reservation, 1)
    expect(() => desk.submit(3, 1)).toThrow("defect")
    expect(desk.admission.room.count).toBe(0)
    desk.admission.settle(2)
    expect(desk.outcome(3)).toBeUndefined()
  })
})

type Step = {
  readonly op: "submit" | "submit again" | "serve" | "cancel" | "abandon" | "pass"
  readonly which: number
  readonly ownS: number
  readonly priority: number
  readonly flow: string
  readonly bytes: number
  readonly waitS: number
}

const stepArb: fc.Arbitrary<Step> = fc.record({
  op: fc.constantFrom("submit", "submit", "submit again", "serve", "serve", "cancel", "abandon", "pass"),
  which: fc.nat(20),
  ownS: fc.integer({ min: 1, max: 8 }),
  priority: fc.integer({ min: -1, max: 1 }),
  flow: fc.constantFrom("a", "b"),
  bytes: fc.nat(40),
  waitS: fc.constantFrom(0, 1, 5, 1000)
})

describe("through any sequence of facts", () => {
  test("bounds hold, and each request is answered once and leaves no reservation", () => {
    fc.assert(fc.property(fc.array(stepArb, { maxLength: 120 }), (steps) => {
      const desk = new Desk({ requestsMax: 6, bytesMax: 120, patienceS: 3 }, fleetOf(2))
      const { room } = desk.admission
      let nowS = 0
      let ticket = 0
      const serving: Array<number> = []
      const begin = () => serving.push(...desk.order.splice(0))
      for (const { bytes, flow, op, ownS, priority, waitS, which } of steps) {
        nowS += 0.3
        if (op.startsWith("submit")) {
          desk.submit(ticket++, nowS, ownS, { bytes, flow, priority, deadlineS: nowS + waitS })
        } else if (op === "serve") {
          begin()
          const [served] = serving.splice(which % Math.max(1, serving.length), 1)
          if (served === undefined) continue
          desk.scheduler.end(desk.placements.get(served)!.reservation, {}, nowS)
          desk.admission.settle(nowS)
        } else if (op === "cancel") desk.admission.cancel(desk.features.get(which) ?? requestOfWork(1))
        else if (op === "abandon") desk.gone.add(which)
        else desk.admission.settle(nowS)
        expect(room.count).toBeLessThanOrEqual(6)
        expect(room.bytes).toBeLessThanOrEqual(120)
      }
      while (room.count > 0 || serving.length > 0 || desk.order.length > 0) {
        nowS += 1
        begin()
        const served = serving.shift()
        if (served !== undefined) desk.scheduler.end(desk.placements.get(served)!.reservation, {}, nowS)
        desk.admission.settle(nowS)
        if (nowS > 2000) throw new Error("somebody waits for ever")
      }
      for (let each = 0; each < ticket; each++) expect(desk.answers.get(each)?.length).toBe(1)
      expect(desk.scheduler.openRequests).toBe(0)
    }))
  })

  test("nobody starves: a request goes once all that could overtake it by the ageing bound have gone", () => {
    const work = fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 1, maxLength: 10 })
    fc.assert(
      fc.property(fc.integer({ min: 11, max: 30 }), work, (bigS, sizes) => {
        const desk = new Desk({ ageingPerS: 0.1 })
        // One pod, a second of work a second, and always somebody smaller who comes anew: overloaded for ever.
        let nowS = 0
        let ticket = 1
        desk.submit(0, 0)
        desk.submit(1, 0, bigS)
        const nextSize = () => sizes[ticket % sizes.length]!
        while (desk.outcome(1) === undefined) {
          for (let i = 0; i < 2; i++) desk.submit(++ticket, nowS, nextSize(), { deadlineS: Number.POSITIVE_INFINITY })
          const served = desk.order.at(-1)!
          nowS += desk.features.get(served)!.promptTokens * 1e-4
          desk.prefilled(served, nowS)
          // Those that came in its first bigS / ageing seconds, of which two came for each that was served.
          const overtakersMax = 2 * (bigS / 0.1 + 10) + 2
          expect(desk.order.length).toBeLessThanOrEqual(overtakersMax)
        }
      }),
      { numRuns: 30 }
    )
  })
})
