import { expect, test } from "bun:test"
import { Effect, Fiber } from "effect"
import { makeSchedulerActor } from "../../actors/SchedulerActor.ts"
import type { WaitingOptions } from "../../actors/SchedulerSettings.ts"
import type { RequestFeatures } from "../../src/core/RequestFeatures.ts"
import { admissionDefaults } from "../../src/core/waiting/AdmissionOptions.ts"
import type { GatewayError } from "../../src/errors.ts"
import { requestOf } from "../policies/fleet.ts"
import { runScoped, until } from "./actorTools.ts"
import { joinPod, onePodOptions, tellModels } from "./onePodScheduler.ts"

const requestFor = (model: string): RequestFeatures => ({ ...requestOf(100), model })

/** A pod that serves m, and sql from the time that it is asked; counts how often that was. */
const started = (waiting: WaitingOptions | undefined) =>
  Effect.gen(function*() {
    const scheduler = yield* makeSchedulerActor(onePodOptions({
      modelLooks: { everyS: 60, waitS: 0.2, waitersMax: 4 },
      waiting
    }))
    joinPod(scheduler)
    let looks = 0
    const askForModels = () => {
      looks++
      tellModels(scheduler, "m", "sql")
    }
    scheduler.ref.unsafeTell({ _tag: "PoolStarted", askForModels })
    const whyOf = (model: string) =>
      Effect.promise(async () => {
        const { excluded } = (await scheduler.explain(requestFor(model))).pods[0] ?? {}
        return excluded ?? "a candidate"
      })
    return { scheduler, whyOf, looks: () => looks }
  })

const waits: WaitingOptions = { ...admissionDefaults, podlessS: 10, waitMaxS: 60, bandWaitMaxS: new Map() }

test("explain has the pods asked for a model that none is known to serve, and waits for them as a request does", () =>
  runScoped(Effect.gen(function*() {
    const { looks, whyOf } = yield* started(waits)
    expect([yield* whyOf("sql"), looks()]).toEqual(["a candidate", 1])
  })))

test("of a model that no pod loads it is told so, after the time that a request would wait", () =>
  runScoped(Effect.gen(function*() {
    const { looks, whyOf } = yield* started(waits)
    expect(yield* Effect.all([whyOf("none"), whyOf("none")], { concurrency: 2 })).toEqual([
      "other-model",
      "other-model"
    ])
    expect([yield* whyOf("none"), looks()]).toEqual(["other-model", 1])
  })))

test("where nobody waits it has the pods asked, and is told what is known now", () =>
  runScoped(Effect.gen(function*() {
    const { looks, whyOf } = yield* started(undefined)
    expect([yield* whyOf("sql"), looks()]).toEqual(["other-model", 1])
    expect(yield* whyOf("sql")).toBe("a candidate")
  })))

/** What any look at it throws at, from the time that it is awaited. */
const poisoned = (): { readonly request: RequestFeatures; readonly take: () => void } => {
  let isBad = false
  const request = requestFor("none")
  const throwing = {
    ...request,
    get model() {
      if (isBad) throw new Error("a defect of the test's")
      return request.model
    }
  }
  return { request: throwing, take: () => void (isBad = true) }
}

test("an awaited question that meets a defect fails at once, costs one crash, and those beside it are answered", () =>
  runScoped(Effect.gen(function*() {
    const { scheduler, whyOf } = yield* started(waits)
    const { request, take } = poisoned()
    const failed = scheduler.explain(request).then(() => "answered", (error: unknown) => (error as GatewayError).status)
    const beside = yield* Effect.fork(whyOf("none"))
    yield* until("both are awaited", () => scheduler.ref.depth() === 0)
    take()
    expect(yield* Effect.promise(() => failed)).toBe(500)
    expect(yield* Fiber.join(beside)).toBe("other-model")
  })))
