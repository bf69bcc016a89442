import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import type { Policy } from "../../../src/core/Policy.ts"
import type { RequestFeatures } from "../../../src/core/RequestFeatures.ts"
import type { Placement } from "../../../src/core/Placement.ts"
import { Admission } from "../../../src/core/waiting/Admission.ts"
import { admissionDefaults } from "../../../src/core/waiting/AdmissionOptions.ts"
import { fleetOf, pod, requestOfWork, termsOf } from "./waiters.ts"

type Place = "answer" | "policy" | "isGone" | "breaker"

const breaker = {
  failuresInRow: 1,
  failureRatio: 1,
  requestsMin: 1000,
  windowS: 10,
  openMinS: 0.5,
  openMaxS: 1
}

/** An admission in which one call of a place that is armed throws. */
const faultyDesk = () => {
  let armed: Place | undefined
  const at = (place: Place): void => {
    if (armed !== place) return
    armed = undefined
    throw new Error(`${place} broke`)
  }
  const policy: Policy = {
    type: "faulty",
    isRevocable: true,
    pick: ({ candidates }) => {
      at("policy")
      return candidates[0] ?? -1
    }
  }
  const guard = { breaker, slowStartS: 0, stallAfterS: 1000, onChange: () => at("breaker") }
  const scheduler = fleetOf(2, { policy, guard })
  const answers = new Map<number, number>()
  /** Reservations that somebody heard of and did not give back yet. */
  const held: Array<number> = []
  const admission = new Admission<number>(
    scheduler,
    { ...admissionDefaults, requestsMax: 8, podlessS: 3 },
    ({ ticket }, outcome) => {
      answers.set(ticket, (answers.get(ticket) ?? 0) + 1)
      at("answer")
      if (typeof outcome !== "string") held.push(outcome.reservation)
    },
    () => {
      at("isGone")
      return false
    }
  )
  /** Does something that may throw what was injected, and nothing else. */
  const attempt = (act: () => void): void => {
    try {
      act()
    } catch (cause) {
      expect(`${cause}`).toContain("broke")
    }
  }
  return { admission, answers, arm: (place: Place | undefined) => void (armed = place), attempt, held, scheduler }
}

const step = fc.record({
  op: fc.constantFrom("submit", "submit", "submit", "serve", "serve", "fail", "turn", "cancel", "pass"),
  fault: fc.constantFrom<Place | undefined>(undefined, "answer", "policy", "isGone", "breaker"),
  which: fc.nat(10),
  priority: fc.integer({ min: -1, max: 1 }),
  on: fc.boolean(),
  waitS: fc.constantFrom(1, 5, 1000)
})

describe("whatever throws inside, and whenever", () => {
  test("a reservation is held by exactly one who heard of it, or by nobody, and a request is answered once at most", () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const { admission, answers, arm, attempt, held, scheduler } = faultyDesk()
      const { room } = admission
      const requests: Array<RequestFeatures> = []
      let nowS = 0
      for (const { fault, on, op, priority, waitS, which } of steps) {
        nowS += 0.2
        arm(fault)
        attempt(() => {
          if (op === "submit") {
            const request = requestOfWork(1)
            const ticket = requests.push(request) - 1
            const outcome: Placement | string = admission.submit(
              request,
              which === 0 ? [pod(0).id] : [],
              termsOf({ priority, deadlineS: nowS + waitS }),
              ticket,
              nowS
            )
            if (typeof outcome !== "string") held.push(outcome.reservation)
          } else if (op === "serve") {
            const [reservation] = held.splice(which % Math.max(1, held.length), 1)
            if (reservation === undefined) return
            // A fact that throws was taken all the same, and is told once.
            attempt(() => on && scheduler.firstToken(reservation, nowS))
            attempt(() => scheduler.end(reservation, {}, nowS))
            admission.settle(nowS)
          } else if (op === "fail") scheduler.podFailed(pod(which % 2).id, -1, true, "reset", nowS)
          else if (op === "turn") {
            scheduler.observe(pod(which % 2).id, on, 0, 0, 0, nowS)
            admission.podCame(pod(which % 2).id, nowS)
          } else if (op === "cancel") admission.cancel(requests[which] ?? requestOfWork(1))
          else admission.settle(nowS)
        })
        arm(undefined)
        expect(scheduler.openRequests).toBe(held.length)
        expect([...room].length).toBe(room.count)
        expect(room.podlessCount).toBe([...room].filter(({ podlessSinceS }) => podlessSinceS !== undefined).length)
      }
      for (const reservation of held) scheduler.end(reservation, {}, nowS)
      expect(scheduler.openRequests).toBe(0)
      for (const [, times] of answers) expect(times).toBe(1)
    }))
  })

  test("a placement is given back when telling of it throws, and the others go on", () => {
    const { admission, arm, held, scheduler } = faultyDesk()
    const first = admission.submit(requestOfWork(1), [], termsOf(), 0, 0)
    const second = admission.submit(requestOfWork(1), [pod(0).id], termsOf(), 1, 0)
    if (typeof first === "string" || typeof second === "string") throw new Error("both have a pod of their own")
    for (const ticket of [2, 3]) expect(admission.submit(requestOfWork(1), [], termsOf(), ticket, 0)).toBe("waiting")
    scheduler.end(first.reservation, {}, 1)
    arm("answer")
    expect(() => admission.settle(1)).toThrow("answer broke")
    expect([scheduler.openRequests, admission.room.count]).toEqual([1, 1])
    admission.settle(1)
    expect([scheduler.openRequests, held.length, admission.room.count]).toEqual([2, 1, 0])
  })
})
