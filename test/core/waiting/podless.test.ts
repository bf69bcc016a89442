import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import type { RequestFeatures } from "../../../src/core/RequestFeatures.ts"
import type { Placement } from "../../../src/core/Placement.ts"
import type { Scheduler } from "../../../src/core/Scheduler.ts"
import { Admission } from "../../../src/core/waiting/Admission.ts"
import { admissionDefaults, type AdmissionOptions } from "../../../src/core/waiting/AdmissionOptions.ts"
import type { WaitingTerms } from "../../../src/core/waiting/Waiting.ts"
import { roundConstants } from "../../policies/fleet.ts"
import { fleetOf, pod, requestOfWork, termsOf } from "./waiters.ts"

interface Asked {
  readonly terms?: Partial<WaitingTerms>
  readonly excluded?: ReadonlyArray<number>
  readonly request?: RequestFeatures
}

const PODLESS_S = 10

/** An admission whose answers are kept by ticket, over a fleet whose pods come and go. */
const deskOf = (scheduler: Scheduler, options: Partial<AdmissionOptions> = {}) => {
  const answers = new Map<number, string>()
  const placements = new Map<number, Placement>()
  const order: Array<number> = []
  const note = (ticket: number, outcome: Placement | string): void => {
    answers.set(ticket, `${answers.get(ticket) ?? ""}${typeof outcome === "string" ? outcome : outcome.address.id}`)
    if (typeof outcome === "string") return
    placements.set(ticket, outcome)
    order.push(ticket)
  }
  const admission = new Admission<number>(
    scheduler,
    { ...admissionDefaults, podlessS: PODLESS_S, ...options },
    ({ ticket }, outcome) => note(ticket, outcome)
  )
  return {
    admission,
    answers,
    placements,
    order,
    submit: (ticket: number, nowS: number, { excluded = [], request = requestOfWork(1), terms }: Asked = {}) => {
      const outcome = admission.submit(request, excluded.map((row) => pod(row).id), termsOf(terms), ticket, nowS)
      if (outcome === "waiting") return "waiting"
      note(ticket, outcome)
      return typeof outcome === "string" ? outcome : "placed"
    },
    /** The pod's actor says whether it takes requests, and the scheduler's actor passes it on. */
    turn: (row: number, accepting: boolean, nowS: number) => {
      const { arrivals } = scheduler
      scheduler.observe(pod(row).id, accepting, 0, 0, 0, nowS)
      if (scheduler.arrivals !== arrivals) admission.podCame(pod(row).id, nowS)
    },
    restart: (row: number, nowS: number) => {
      scheduler.restarted(pod(row).id)
      admission.podCame(pod(row).id, nowS)
    },
    firstToken: (ticket: number, nowS: number) => {
      scheduler.firstToken(placements.get(ticket)!.reservation, nowS)
      admission.settle(nowS)
    }
  }
}

/** Pods that serve the model and are all away. */
const awayFleet = (pods = 1): Scheduler => {
  const scheduler = fleetOf(pods, {})
  for (let row = 0; row < pods; row++) scheduler.observe(pod(row).id, false, 0, 0, 0, 0)
  return scheduler
}

const breaker = {
  failuresInRow: 2,
  failureRatio: 1,
  requestsMin: 1000,
  windowS: 10,
  openMinS: 1,
  openMaxS: 8
}
const guard = { breaker, slowStartS: 0, stallAfterS: 1000, onChange: () => {} }

describe("while every pod that serves its model is away", () => {
  test("a request waits, and goes the moment that one takes requests again", () => {
    const desk = deskOf(awayFleet(2))
    expect(desk.submit(1, 0)).toBe("waiting")
    desk.turn(1, true, 3)
    expect(desk.answers.get(1)).toBe(pod(1).id)
    expect(desk.admission.room.count).toBe(0)
  })

  test("a request waits for as long as the setting says and is then refused for want of a pod", () => {
    const desk = deskOf(awayFleet())
    desk.submit(1, 0)
    desk.admission.settle(9.9)
    expect(desk.answers.get(1)).toBeUndefined()
    desk.admission.settle(10)
    expect(desk.answers.get(1)).toBe("no-pod")
  })

  test("a request waits no longer than its client does, and not at all for one that has no time", () => {
    const desk = deskOf(awayFleet())
    desk.submit(1, 0, { terms: { clientDeadlineS: 2 } })
    expect(desk.submit(2, 0, { terms: { clientDeadlineS: 0 } })).toBe("no-pod")
    desk.admission.settle(2)
    expect(desk.answers.get(1)).toBe("no-pod")
  })

  test("a request is refused at once where the setting is 0", () => {
    expect(deskOf(awayFleet(), { podlessS: 0 }).submit(1, 0)).toBe("no-pod")
  })

  test("one for a model that nobody serves is unknown at once", () => {
    const request = requestOfWork(1, { model: "other" })
    expect(deskOf(awayFleet()).submit(1, 0, { request })).toBe("unknown-model")
  })

  test("a request waits for the first pod of a gateway that has none, and for one that has not said what it serves", () => {
    const scheduler = fleetOf(1)
    scheduler.leave(pod(0).id)
    expect(deskOf(scheduler).submit(1, 0)).toBe("waiting")
    const filled = fleetOf(1)
    filled.join(pod(1), roundConstants)
    const other = deskOf(filled)
    expect(other.submit(1, 0, { request: requestOfWork(1, { model: "late" }) })).toBe("waiting")
    filled.describe(pod(1).id, 16, 1e7, ["m"])
    other.admission.podCame(undefined, 1)
    expect(other.answers.get(1)).toBe("unknown-model")
  })

  test("a request waits until the breaker of its only pod lets one try, which is one only", () => {
    const scheduler = fleetOf(1, { guard })
    for (let i = 0; i < 2; i++) scheduler.podFailed(pod(0).id, -1, true, "reset", 0)
    const desk = deskOf(scheduler)
    for (const ticket of [1, 2, 3]) expect(desk.submit(ticket, 0.5)).toBe("waiting")
    desk.admission.settle(0.9)
    expect(desk.order).toEqual([])
    desk.admission.settle(1)
    expect(desk.order).toEqual([1])
    expect(desk.admission.room.podlessCount).toBe(2)
    desk.admission.settle(1.49)
    desk.firstToken(1, 1.5)
    desk.admission.settle(1.5)
    expect(desk.order).toEqual([1, 2])
  })

  test("a try that a pod's new description has made void is waited for no longer", () => {
    const scheduler = fleetOf(1, { guard })
    for (let i = 0; i < 2; i++) scheduler.podFailed(pod(0).id, -1, true, "reset", 0)
    const desk = deskOf(scheduler)
    for (const ticket of [1, 2]) desk.submit(ticket, 0.5)
    desk.admission.settle(1)
    expect(desk.order).toEqual([1])
    // Its blocks have another size now, so what was charged to it is void, and nobody hears how the first request went.
    scheduler.describe(pod(0).id, 32, 1e7, ["m"])
    desk.admission.podCame(pod(0).id, 1.1)
    expect(desk.order).toEqual([1, 2])
  })

  test("those that were in line step out of it, and go in the order of the room when a pod is back", () => {
    const desk = deskOf(fleetOf(1))
    desk.submit(0, 0)
    for (const [ticket, ownS] of [[1, 3], [2, 2], [3, 1]] as const) {
      desk.submit(ticket, 0, { request: requestOfWork(ownS) })
    }
    desk.turn(0, false, 1)
    desk.admission.settle(1)
    expect(desk.admission.room.podlessCount).toBe(3)
    desk.restart(0, 2)
    desk.turn(0, true, 2)
    for (const ticket of [3, 2]) desk.firstToken(ticket, 3)
    expect(desk.order).toEqual([0, 3, 2, 1])
  })

  test("those that come back in line count as what they would cost without hits on a pod of their own model", () => {
    const scheduler = fleetOf(2)
    scheduler.describe(pod(0).id, 16, 1e7, ["other"])
    scheduler.recalibrate(pod(0).id, { ...roundConstants, prefillTokenS: 1e-3 })
    scheduler.observe(pod(1).id, false, 0, 0, 0, 0)
    const desk = deskOf(scheduler)
    for (const ticket of [1, 2]) expect(desk.submit(ticket, 0)).toBe("waiting")
    desk.turn(1, true, 1)
    expect(desk.order).toEqual([1])
    const cold = scheduler.leastPrefillS(requestOfWork(1), [], 1)
    expect([...desk.admission.room].map(({ ownS }) => ownS)).toEqual([Number(cold)])
    expect(Number(cold)).toBeCloseTo(1, 0)
  })

  test("the time without a pod does not count against that for a turn, however often pods come and go", () => {
    const desk = deskOf(awayFleet())
    desk.submit(0, 0, { terms: { deadlineS: 2 } })
    desk.submit(1, 0, { terms: { deadlineS: 2 } })
    desk.turn(0, true, 6)
    expect(desk.order).toEqual([0])
    desk.turn(0, false, 7)
    desk.admission.settle(7)
    expect(desk.admission.room.podlessCount).toBe(1)
    desk.admission.settle(10.9)
    expect(desk.answers.get(1)).toBeUndefined()
    desk.admission.settle(11)
    expect(desk.answers.get(1)).toBe("no-pod")
  })

  test("who was out of line waits for its turn no longer than its client does", () => {
    const desk = deskOf(awayFleet())
    for (const ticket of [0, 1]) desk.submit(ticket, 0, { terms: { deadlineS: 3, clientDeadlineS: 4 } })
    desk.turn(0, true, 2)
    expect(desk.order).toEqual([0])
    desk.admission.settle(3.9)
    expect(desk.answers.get(1)).toBeUndefined()
    desk.admission.settle(4)
    expect(desk.answers.get(1)).toBe("waited-too-long")
  })

  test("others whose pods are there go past", () => {
    const scheduler = fleetOf(2)
    scheduler.describe(pod(1).id, 16, 1e7, ["other"])
    scheduler.observe(pod(0).id, false, 0, 0, 0, 0)
    const desk = deskOf(scheduler)
    for (let ticket = 0; ticket < 600; ticket++) desk.submit(ticket, 0)
    expect(desk.submit(1000, 1, { request: requestOfWork(1, { model: "other" }) })).toBe("placed")
    expect(desk.submit(1001, 1, { request: requestOfWork(1, { model: "other" }) })).toBe("waiting")
    desk.firstToken(1000, 2)
    expect(desk.order).toEqual([1000, 1001])
  })

  test("nobody's pace is measured, so that a newcomer is not refused for a slow one afterwards", () => {
    const desk = deskOf(awayFleet())
    for (let ticket = 0; ticket < 5; ticket++) desk.submit(ticket, 0)
    for (let nowS = 0; nowS < 9; nowS += 0.05) desk.admission.settle(nowS)
    expect(desk.admission.retryAfterS()).toBe(1)
    desk.turn(0, true, 9)
    expect(desk.submit(9, 9, { terms: { deadlineS: 12 } })).toBe("waiting")
  })

  test("the bounds of the room count, by number, bytes and band, and a sheddable request gives way", () => {
    const desk = deskOf(awayFleet(), { requestsMax: 3, bytesMax: 100, bandRequestsMax: new Map([[2, 1]]) })
    expect(desk.submit(1, 0, { terms: { priority: -1, bytes: 60 } })).toBe("waiting")
    expect(desk.submit(2, 0, { terms: { priority: -1, bytes: 50 } })).toBe("no-pod")
    expect(desk.submit(3, 0, { terms: { bytes: 50 } })).toBe("waiting")
    expect(desk.answers.get(1)).toBe("no-pod")
    expect(desk.submit(4, 0, { terms: { priority: 2 } })).toBe("waiting")
    expect(desk.submit(5, 0, { terms: { priority: 2 } })).toBe("no-pod")
    expect(desk.admission.room.bytes).toBe(50)
  })

  test("a client that leaves frees its place", () => {
    const desk = deskOf(awayFleet())
    const request = requestOfWork(1)
    desk.submit(1, 0, { request })
    expect(desk.admission.cancel(request)).toBe(true)
    expect([desk.answers.get(1), desk.admission.room.count, desk.admission.room.podlessCount]).toEqual([
      "client-left",
      0,
      0
    ])
  })

  test("an explanation says so", () => {
    const desk = deskOf(awayFleet())
    desk.submit(1, 0)
    expect(desk.admission.whyWait(requestOfWork(1), termsOf(), 0)).toBe(
      "for 10 s at most, until a pod that serves it takes requests; 1 wait for a pod"
    )
  })
})

describe("a request whose pods failed it", () => {
  test("waits for another that is away", () => {
    const scheduler = fleetOf(2)
    scheduler.observe(pod(1).id, false, 0, 0, 0, 0)
    const desk = deskOf(scheduler)
    expect(desk.submit(1, 0, { excluded: [0] })).toBe("waiting")
    desk.turn(1, true, 1)
    expect(desk.answers.get(1)).toBe(pod(1).id)
  })

  test("is refused at once when they all take requests and none is in doubt", () => {
    expect(deskOf(fleetOf(2, { guard })).submit(1, 0, { excluded: [0, 1] })).toBe("no-pod")
  })

  test("waits while one of them is in doubt, and may go there once its process is another", () => {
    const scheduler = fleetOf(1, { guard })
    scheduler.podFailed(pod(0).id, -1, true, "reset", 0)
    const desk = deskOf(scheduler)
    expect(desk.submit(1, 0, { excluded: [0] })).toBe("waiting")
    desk.admission.settle(1)
    expect(desk.answers.get(1)).toBeUndefined()
    desk.restart(0, 2)
    expect(desk.answers.get(1)).toBe(pod(0).id)
  })

  test("may go there once it was away and is back", () => {
    const desk = deskOf(awayFleet())
    expect(desk.submit(1, 0, { excluded: [0] })).toBe("waiting")
    desk.turn(0, true, 2)
    expect(desk.answers.get(1)).toBe(pod(0).id)
  })

  test("is refused once the one in doubt has proven well without having been away", () => {
    const scheduler = fleetOf(1, { guard })
    scheduler.podFailed(pod(0).id, -1, true, "reset", 0)
    const desk = deskOf(scheduler)
    desk.submit(1, 0, { excluded: [0] })
    desk.submit(2, 0)
    desk.firstToken(2, 0.5)
    desk.admission.settle(0.6)
    expect(desk.answers.get(1)).toBe("no-pod")
  })

  test("goes before those of its band that wait, of all flows, and not before a higher band", () => {
    const desk = deskOf(fleetOf(2))
    for (const ticket of [0, 1]) desk.submit(ticket, 0)
    desk.submit(2, 0, { terms: { flow: "a" } })
    desk.submit(3, 0, { terms: { priority: 1 } })
    desk.submit(4, 0.01, { excluded: [0], terms: { flow: "b" }, request: requestOfWork(5) })
    desk.submit(5, 0.02, { excluded: [0], terms: { flow: "a" } })
    desk.firstToken(1, 1)
    desk.firstToken(3, 2)
    desk.firstToken(4, 3)
    desk.firstToken(5, 4)
    expect(desk.order).toEqual([0, 1, 3, 4, 5, 2])
  })

  test("waits for its turn only, not for KV room", () => {
    const scheduler = fleetOf(2, { room: { queueMaxS: 1e9 } })
    for (const row of [0, 1]) scheduler.describe(pod(row).id, 16, 20_000, ["m"])
    const chain = (first: number) => () => ({
      low: Uint32Array.from({ length: 937 }, (_, i) => first + i),
      high: new Uint32Array(937).fill(7),
      length: 937
    })
    const desk = deskOf(scheduler)
    for (const ticket of [0, 1]) desk.submit(ticket, 0, { request: requestOfWork(1.5, { chain: chain(1e4 * ticket) }) })
    expect(desk.submit(2, 0, { request: requestOfWork(1.5, { chain: chain(5e4) }) })).toBe("waiting")
    expect(desk.submit(3, 0, { excluded: [0], request: requestOfWork(1.5, { chain: chain(6e4) }) })).toBe("waiting")
    expect(desk.answers.get(3)).toBe(pod(1).id)
  })
})

describe("through any comings and goings of pods", () => {
  const step = fc.record({
    op: fc.constantFrom("submit", "submit", "turn", "turn", "restart", "serve", "fail", "pass", "cancel"),
    row: fc.nat(2),
    on: fc.boolean(),
    excluded: fc.uniqueArray(fc.nat(2), { maxLength: 3 }),
    priority: fc.integer({ min: -1, max: 1 }),
    waitS: fc.constantFrom(0, 1, 5, 1000)
  })

  test("each request is answered once, in time, and leaves no reservation", () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const scheduler = fleetOf(3, { guard })
      const desk = deskOf(scheduler, { requestsMax: 8 })
      const { room } = desk.admission
      const requests: Array<RequestFeatures> = []
      const accepting = [true, true, true]
      let nowS = 0
      for (const { excluded, on, op, priority, row, waitS } of steps) {
        nowS += 0.2
        const open = desk.order.find((ticket) => ticket % 3 === row)
        if (op === "submit") {
          const request = requestOfWork(1)
          const terms = { priority, deadlineS: nowS + waitS, clientDeadlineS: waitS < 9 ? nowS + waitS : undefined }
          desk.submit(requests.push(request) - 1, nowS, { request, excluded, terms })
        } else if (op === "turn") desk.turn(row, accepting[row] = on, nowS)
        else if (op === "restart") desk.restart(row, nowS)
        else if (op === "serve" && open !== undefined) desk.firstToken(open, nowS)
        else if (op === "fail") scheduler.podFailed(pod(row).id, -1, true, "reset", nowS)
        else if (op === "cancel") desk.admission.cancel(requests[row] ?? requestOfWork(1))
        else desk.admission.settle(nowS)
        expect(room.count).toBeLessThanOrEqual(8)
        expect(room.podlessCount).toBeLessThanOrEqual(room.count)
        expect([...room].length).toBe(room.count)
      }
      for (const row of accepting.keys()) desk.turn(row, false, nowS)
      const endS = nowS + 1000 + PODLESS_S
      while (room.count > 0 && nowS < endS) desk.admission.settle(nowS += 1)
      expect([room.count, room.podlessCount, room.bytes]).toEqual([0, 0, 0])
      expect(desk.answers.size).toBe(requests.length)
      for (const { reservation } of desk.placements.values()) scheduler.end(reservation, {}, nowS)
      expect(scheduler.openRequests).toBe(0)
      const words = [
        "no-pod",
        "queue-full",
        "queue-too-long",
        "waited-too-long",
        "client-left",
        ...[0, 1, 2].map((row) => pod(row).id)
      ]
      for (const answer of desk.answers.values()) expect(words).toContain(answer)
    }))
  })
})
