import { expect, test } from "bun:test"
import { Effect } from "effect"
import { makeSchedulerActor, type SchedulerHandle } from "../../actors/SchedulerActor.ts"
import type { SchedulerActorOptions } from "../../actors/SchedulerActorOptions.ts"
import type { WaitingOptions } from "../../actors/SchedulerSettings.ts"
import type { RequestFeatures, WaitingWish } from "../../src/core/RequestFeatures.ts"
import { admissionDefaults } from "../../src/core/waiting/AdmissionOptions.ts"
import { fleetRoomDefaults } from "../../src/core/waiting/FleetRoom.ts"
import { QueueRefused } from "../../src/errors.ts"
import { rejectionOf } from "../lib/rejectionOf.ts"
import { requestOf } from "../policies/fleet.ts"
import { runScoped, until } from "./actorTools.ts"
import { joinPod, onePodOptions, pod } from "./onePodScheduler.ts"

/** Half a second of prefill each, so a pod with one has no room for another where no queue is allowed. */
const request = (wish: Partial<WaitingWish> = {}): RequestFeatures => ({
  ...requestOf(8000),
  wish: { priority: 0, flow: "", bytes: 0, waitMaxS: undefined, ...wish }
})

interface Started {
  readonly scheduler: SchedulerHandle
  readonly options: SchedulerActorOptions
  readonly ends: Array<string>
  /** Picks a pod and lets no other request have it. */
  readonly occupied: Effect.Effect<number>
}

const started = (waiting: Partial<WaitingOptions> = {}, askDeadlineMs = 1000, skippedS = () => 0) =>
  Effect.gen(function*() {
    const ends: Array<string> = []
    const options = onePodOptions({
      askDeadlineMs,
      nowS: () => performance.now() / 1000 + skippedS(),
      onWaited: (priority, _, outcome) => void ends.push(`${priority} ${outcome}`),
      waiting: { ...admissionDefaults, waitMaxS: 60, bandWaitMaxS: new Map(), ...waiting }
    }, { room: { ...fleetRoomDefaults, queueMaxS: 0 } })
    const scheduler = yield* makeSchedulerActor(options)
    joinPod(scheduler)
    const occupied = Effect.map(Effect.promise(() => scheduler.pick(request())), ({ reservation }) => reservation)
    return { scheduler, options, ends, occupied } satisfies Started
  })

const waitingCount = ({ room }: SchedulerHandle): number => room.count

test("a pick waits while every pod is busy and resolves when a first token makes room", () =>
  runScoped(Effect.gen(function*() {
    const { ends, occupied, scheduler } = yield* started()
    const reservation = yield* occupied
    const waiting = scheduler.pick(request({ priority: 3 }))
    yield* until("one waits", () => waitingCount(scheduler) === 1)
    scheduler.firstToken(reservation)
    const decision = yield* Effect.promise(() => waiting)
    expect(decision.address.id).toBe(pod.id)
    expect(ends).toEqual(["3 placed"])
    expect(scheduler.view.openRequests).toBe(2)
  })))

test("a cancelled pick is over at once and takes no reservation", () =>
  runScoped(Effect.gen(function*() {
    const { ends, occupied, scheduler } = yield* started()
    const reservation = yield* occupied
    const features = request()
    const waiting = scheduler.pick(features)
    // In the mailbox behind the pick, which has not been looked at yet.
    scheduler.cancel(features)
    expect(yield* Effect.promise(() => rejectionOf(waiting))).toMatchObject({ code: "queue_left" })
    expect(ends).toEqual(["0 client-left"])
    expect(waitingCount(scheduler)).toBe(0)
    scheduler.end(reservation, { outcome: "finished" })
    yield* until("nothing open", () => scheduler.view.openRequests === 0)
  })))

test("a pick whose ask has timed out leaves no reservation behind", () =>
  runScoped(Effect.gen(function*() {
    const { occupied, scheduler } = yield* started({ waitMaxS: 0.05 }, 1)
    const reservation = yield* occupied
    const waiting = scheduler.pick(request({ waitMaxS: 0.05 }))
    yield* Effect.promise(() => rejectionOf(waiting))
    scheduler.firstToken(reservation)
    scheduler.end(reservation, { outcome: "finished" })
    yield* until("nothing open", () => scheduler.view.openRequests === 0 && waitingCount(scheduler) === 0)
  })))

test("a full queue is refused with 429, its reason and when to come back", () =>
  runScoped(Effect.gen(function*() {
    const { occupied, scheduler } = yield* started({ requestsMax: 1 })
    yield* occupied
    void scheduler.pick(request()).catch(() => {})
    const refused = yield* Effect.promise(() => rejectionOf(scheduler.pick(request())))
    if (!(refused instanceof QueueRefused)) throw new Error("it was not refused")
    expect([refused.status, refused.code]).toEqual([429, "queue_full"])
    expect(refused.retryAfterS).toBeGreaterThanOrEqual(1)
  })))

test("what is refused elsewhere may come back when the queue has passed, by the pace at which it goes", () =>
  runScoped(Effect.gen(function*() {
    const { occupied, scheduler } = yield* started({ requestsMax: 500 })
    expect(scheduler.retryAfterS()).toBe(1)
    yield* occupied
    for (let i = 0; i < 60; i++) void scheduler.pick(request()).catch(() => {})
    // Nobody goes on while somebody waits, and that long enough to be known.
    yield* until("the pace is known", () => scheduler.retryAfterS() > 1)
    expect(scheduler.retryAfterS()).toBeLessThanOrEqual(60)
  })))

test("a wait ends at the least of the request's, the band's and the general bound", () =>
  runScoped(Effect.gen(function*() {
    const { ends, occupied, scheduler } = yield* started({ waitMaxS: 60, bandWaitMaxS: new Map([[-1, 0.02]]) })
    yield* occupied
    const refused = yield* Effect.promise(() =>
      Promise.all([
        rejectionOf(scheduler.pick(request({ waitMaxS: 0.02 }))),
        rejectionOf(scheduler.pick(request({ priority: -1, waitMaxS: 50 })))
      ])
    )
    expect(refused).toMatchObject([{ code: "queue_timeout" }, { code: "queue_timeout" }])
    expect(ends.toSorted()).toEqual(["-1 waited-too-long", "0 waited-too-long"])
  })))

test("those that wait hear of a stop", async () => {
  let waiting: Promise<unknown> = Promise.resolve()
  await runScoped(Effect.gen(function*() {
    const { occupied, scheduler } = yield* started()
    yield* occupied
    waiting = rejectionOf(scheduler.pick(request()))
    yield* until("one waits", () => waitingCount(scheduler) === 1)
  }))
  expect(await waiting).toMatchObject({ status: 503 })
})

test("an explanation says that a request would wait, and behind how many", () =>
  runScoped(Effect.gen(function*() {
    const { occupied, scheduler } = yield* started()
    expect((yield* Effect.promise(() => scheduler.explain(request()))).waits).toBeUndefined()
    yield* occupied
    expect((yield* Effect.promise(() => scheduler.explain(request()))).waits).toBe("every pod is busy")
    void scheduler.pick(request()).catch(() => {})
    expect((yield* Effect.promise(() => scheduler.explain(request()))).waits).toBe("every pod is busy; 1 wait")
  })))

/** The waiting of the options with some of it changed. */
const waitingOf = ({ waiting }: SchedulerActorOptions, changes: Partial<WaitingOptions>): WaitingOptions => {
  if (waiting === undefined) throw new Error("nobody waits")
  return { ...waiting, ...changes }
}

test("those that wait stay beyond a smaller bound, and no other comes in", () =>
  runScoped(Effect.gen(function*() {
    const { occupied, options, scheduler } = yield* started()
    const reservation = yield* occupied
    const waiting = [request(), request()].map((features) => scheduler.pick(features))
    yield* until("two wait", () => waitingCount(scheduler) === 2)
    yield* scheduler.replaceSettings({ ...options, waiting: waitingOf(options, { requestsMax: 1 }) })
    const refused = yield* Effect.promise(() => rejectionOf(scheduler.pick(request())))
    expect(refused).toMatchObject({ code: "queue_full" })
    expect(waitingCount(scheduler)).toBe(2)
    scheduler.firstToken(reservation)
    for (const pick of waiting) scheduler.firstToken((yield* Effect.promise(() => pick)).reservation)
  })))

test("a queue of the pods that may be longer now sends off those that wait", () =>
  runScoped(Effect.gen(function*() {
    const { occupied, options, scheduler } = yield* started()
    yield* occupied
    const waiting = scheduler.pick(request())
    yield* until("one waits", () => waitingCount(scheduler) === 1)
    const room = { ...fleetRoomDefaults, queueMaxS: 60 }
    yield* scheduler.replaceSettings({ ...options, scheduler: { ...options.scheduler, room } })
    expect((yield* Effect.promise(() => waiting)).address.id).toBe(pod.id)
  })))

test("where nobody is to wait any more, those that do are placed at once, and later ones as they come", () =>
  runScoped(Effect.gen(function*() {
    const { ends, occupied, options, scheduler } = yield* started()
    yield* occupied
    const waiting = Array.from({ length: 20 }, () => scheduler.pick(request()))
    yield* until("all wait", () => waitingCount(scheduler) === 20)
    yield* scheduler.replaceSettings({ ...options, waiting: undefined })
    yield* Effect.promise(() => Promise.all([...waiting, scheduler.pick(request())]))
    expect(scheduler.view.openRequests).toBe(22)
    yield* scheduler.replaceSettings(options)
    const again = scheduler.pick(request())
    yield* until("one waits again", () => waitingCount(scheduler) === 1)
    yield* scheduler.replaceSettings({ ...options, waiting: undefined })
    yield* Effect.promise(() => again)
    expect(ends).toEqual(Array.from({ length: 21 }, () => "0 placed"))
  })))

test("a request waits as long as its band may when it comes", () =>
  runScoped(Effect.gen(function*() {
    const { ends, occupied, options, scheduler } = yield* started()
    const reservation = yield* occupied
    const early = scheduler.pick(request())
    yield* until("one waits", () => waitingCount(scheduler) === 1)
    const waiting = waitingOf(options, { bandWaitMaxS: new Map([[0, 0.01]]) })
    yield* scheduler.replaceSettings({ ...options, waiting })
    const late = yield* Effect.promise(() => rejectionOf(scheduler.pick(request())))
    expect(late).toMatchObject({ code: "queue_timeout" })
    scheduler.firstToken(reservation)
    yield* Effect.promise(() => early)
    expect(ends).toEqual(["0 waited-too-long", "0 placed"])
  })))

test("a request waits for a pod as long as it could when it came, and hears the reason, though a reload brings more", () =>
  runScoped(Effect.gen(function*() {
    const { ends, options, scheduler } = yield* started({ waitMaxS: 0.1, podlessS: 0.1 })
    yield* scheduler.ref.tell(observed(false))
    const outcome = rejectionOf(scheduler.pick(request()))
    yield* until("it waits", () => waitingCount(scheduler) === 1)
    yield* scheduler.replaceSettings({ ...options, waiting: waitingOf(options, { podlessS: 60 }) })
    expect(yield* Effect.promise(() => outcome)).toMatchObject({ code: "no_pod_available" })
    expect(ends).toEqual(["0 no-pod"])
  })))

test("a retry has what is left of its client's time, though nobody waited until a reload", () => {
  let skippedS = 0
  return runScoped(Effect.gen(function*() {
    const { options, scheduler } = yield* started({}, 1000, () => skippedS)
    yield* scheduler.replaceSettings({ ...options, waiting: undefined })
    const features = request({ waitMaxS: 60 })
    yield* Effect.promise(() => scheduler.pick(features))
    skippedS = 61
    yield* scheduler.replaceSettings(options)
    expect(yield* Effect.promise(() => rejectionOf(scheduler.pick(features)))).toMatchObject({ status: 429 })
  }))
})

test("picks beyond another capacity of the mailbox are refused", () =>
  runScoped(Effect.gen(function*() {
    const { options, scheduler } = yield* started()
    yield* scheduler.replaceSettings({ ...options, mailboxCapacity: 2 })
    yield* until("that is taken", () => scheduler.ref.depth() === 0)
    const outcomes = yield* Effect.promise(() => Promise.allSettled([1, 2, 3].map(() => scheduler.explain(request()))))
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected"])
  })))

const observed = (accepting: boolean) =>
  ({ _tag: "PodObserved", id: pod.id, accepting, running: 0, waiting: 0, kvUsage: 0 }) as const

test("a pick waits while its pod is away and resolves when that is back, for a retry as good as new", () =>
  runScoped(Effect.gen(function*() {
    const { ends, scheduler } = yield* started({ podlessS: 60 })
    yield* Effect.orDie(scheduler.ref.tell(observed(false)))
    const picks = [scheduler.pick(request()), scheduler.pick(request({ priority: 1 }), [pod.id])]
    yield* until("both wait", () => waitingCount(scheduler) === 2)
    yield* Effect.orDie(scheduler.ref.tell({ _tag: "PodRestarted", id: pod.id }))
    yield* Effect.orDie(scheduler.ref.tell(observed(true)))
    scheduler.firstToken((yield* Effect.promise(() => picks[1]!)).reservation)
    expect((yield* Effect.promise(() => picks[0]!)).address.id).toBe(pod.id)
    expect(ends).toEqual(["1 placed", "0 placed"])
  })))

test("a pick that waits for a pod is refused with 503 when its time is over, and at once where nobody waits", () =>
  runScoped(Effect.gen(function*() {
    const { ends, options, scheduler } = yield* started({ podlessS: 0.02 })
    yield* Effect.orDie(scheduler.ref.tell(observed(false)))
    const refused = { status: 503, code: "no_pod_available", retryAfterS: 1 }
    expect(yield* Effect.promise(() => rejectionOf(scheduler.pick(request())))).toMatchObject(refused)
    expect(ends).toEqual(["0 no-pod"])
    yield* scheduler.replaceSettings({ ...options, waiting: undefined })
    expect(yield* Effect.promise(() => rejectionOf(scheduler.pick(request())))).toMatchObject(refused)
    expect(ends).toEqual(["0 no-pod"])
  })))

test("those that wait for a pod are refused when a reload says that nobody is to wait", () =>
  runScoped(Effect.gen(function*() {
    const { options, scheduler } = yield* started({ podlessS: 60 })
    yield* Effect.orDie(scheduler.ref.tell(observed(false)))
    const waiting = scheduler.pick(request())
    yield* until("one waits", () => waitingCount(scheduler) === 1)
    yield* scheduler.replaceSettings({ ...options, waiting: undefined })
    expect(yield* Effect.promise(() => rejectionOf(waiting))).toMatchObject({ status: 503 })
  })))

test("a retry has only what is left of the time that its client gave", () =>
  runScoped(Effect.gen(function*() {
    const { ends, scheduler } = yield* started({ podlessS: 60 })
    const features = request({ waitMaxS: 0.02 })
    const { reservation } = yield* Effect.promise(() => scheduler.pick(features))
    scheduler.end(reservation, { outcome: "failed" })
    yield* Effect.orDie(scheduler.ref.tell(observed(false)))
    yield* Effect.sleep(30)
    expect(yield* Effect.promise(() => rejectionOf(scheduler.pick(features, [pod.id])))).toMatchObject({ status: 503 })
    expect(ends).toEqual([])
  })))

test("an explanation says that a request would wait for a pod", () =>
  runScoped(Effect.gen(function*() {
    const { scheduler } = yield* started({ podlessS: 7 })
    yield* Effect.orDie(scheduler.ref.tell(observed(false)))
    expect((yield* Effect.promise(() => scheduler.explain(request()))).waits).toStartWith("for 7 s at most")
  })))
