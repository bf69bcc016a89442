import { expect, test } from "bun:test"
import { Effect } from "effect"
import { makeSchedulerActor } from "../../actors/SchedulerActor.ts"
import { admissionDefaults } from "../../src/core/waiting/AdmissionOptions.ts"
import { fleetRoomDefaults } from "../../src/core/waiting/FleetRoom.ts"
import { requestOf } from "../policies/fleet.ts"
import { runScoped, until } from "./actorTools.ts"
import { joinPod, onePodOptions, pod } from "./onePodScheduler.ts"

const defect = () => {
  throw new Error("a defect")
}

const requestFor = (model: string) => ({ ...requestOf(8000), model })

const deafened = makeSchedulerActor(onePodOptions({
  onPick: defect,
  onRefusal: defect,
  onWaited: defect,
  waiting: { ...admissionDefaults, podlessS: 10, waitMaxS: 60, bandWaitMaxS: new Map() }
}, {
  room: { ...fleetRoomDefaults, queueMaxS: 0 },
  guard: {
    breaker: {
      failuresInRow: 1,
      failureRatio: 1,
      requestsMin: 1,
      windowS: 60,
      openMinS: 0.01,
      openMaxS: 0.01
    },
    slowStartS: 0,
    stallAfterS: 60,
    onChange: defect
  }
}))

test("metrics that throw cost no pick its answer and leak no reservation", () =>
  runScoped(Effect.gen(function*() {
    const scheduler = yield* deafened
    joinPod(scheduler)
    const picked = yield* Effect.promise(() => scheduler.pick(requestFor("m")))
    // It has to wait, since the first one has all of the room.
    const waiting = scheduler.pick(requestFor("m"))
    yield* until("a wait", () => scheduler.room.count === 1)
    const refused = yield* Effect.promise(() => scheduler.pick(requestFor("unknown")).catch((cause: unknown) => cause))
    expect(refused).toMatchObject({ code: "model_not_found" })
    // Its breaker opens, which is told in the middle of the books.
    scheduler.podFailed(pod.id, { reservation: picked.reservation, sure: true, why: "it broke" })
    scheduler.end(picked.reservation, { outcome: "failed" })
    const placed = yield* Effect.promise(() => waiting)
    expect(placed.address.id).toBe(pod.id)
    scheduler.end(placed.reservation, { outcome: "finished" })
    yield* until("no reservation", () => scheduler.view.openRequests === 0)
  })))
