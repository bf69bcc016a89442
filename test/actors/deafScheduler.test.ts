import { expect, test } from "bun:test"
import { Effect } from "effect"
import { makeSchedulerActor } from "../../actors/SchedulerActor.ts"
import { emptyChain } from "../../src/core/BlockChain.ts"
import { podAddress } from "../../src/core/Pod.ts"
import type { RequestFeatures } from "../../src/core/RequestFeatures.ts"
import { admissionDefaults } from "../../src/core/waiting/AdmissionOptions.ts"
import { fleetRoomDefaults } from "../../src/core/waiting/FleetRoom.ts"
import { runScoped, until } from "./actorTools.ts"
import { constants } from "./schedulerInbox.ts"

const pod = podAddress("10.0.0.1", 8000, false)
const defect = () => {
  throw new Error("a defect")
}

const requestFor = (model: string): RequestFeatures => ({
  model,
  promptTokens: 8000,
  outputTokensMax: 10,
  generates: true,
  streams: true,
  chain: () => emptyChain,
  tokensPerBlock: () => 16,
  sessionHash: 0
})

const deafened = makeSchedulerActor({
  scheduler: {
    policy: { type: "first", isRevocable: true, pick: ({ candidates }) => candidates[0] ?? -1 },
    podsMax: 4,
    openRequestsMax: 64,
    modelsMax: 4,
    prefixEntriesMax: 1024,
    initialOutputTokens: 10,
    random: () => 0.5,
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
  },
  mailboxCapacity: 64,
  askDeadlineMs: 5000,
  nowS: () => performance.now() / 1000,
  outputTokensByModel: {},
  onPick: defect,
  onRefusal: defect,
  onWaited: defect,
  waiting: { ...admissionDefaults, podlessS: 10, waitMaxS: 60, bandWaitMaxS: new Map() },
  noticeWithinS: 1
})

test("metrics that throw cost no pick its answer and leak no reservation", () =>
  runScoped(Effect.gen(function*() {
    const scheduler = yield* deafened
    scheduler.ref.unsafeTell({ _tag: "PodJoined", address: pod, constants, restored: undefined })
    const described = { id: pod.id, blockSizeTokens: 16, kvCapacityTokens: 1e6, models: ["m"] }
    scheduler.ref.unsafeTell({ _tag: "PodDescribed", ...described })
    const seen = { id: pod.id, accepting: true, running: 0, waiting: 0, kvUsage: 0 }
    scheduler.ref.unsafeTell({ _tag: "PodObserved", ...seen })
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
