import { describe, expect, test } from "bun:test"
import type { Placement } from "../../../src/core/Placement.ts"
import { Admission } from "../../../src/core/waiting/Admission.ts"
import { admissionDefaults, type AdmissionOptions } from "../../../src/core/waiting/AdmissionOptions.ts"
import { ModelLooks } from "../../../src/core/waiting/ModelLooks.ts"
import type { WaitingTerms } from "../../../src/core/waiting/Waiting.ts"
import { fleetOf, pod, requestOfWork, termsOf } from "./waiters.ts"

describe("looks for models", () => {
  test("begin at most once in a while, however many ask", () => {
    const looks = new ModelLooks({ everyS: 2, waitS: 0.5, waitersMax: 10 })
    const begun = Array.from({ length: 1000 }, (_, i) => i / 100).filter((nowS) => looks.begin(nowS))
    expect(begun).toEqual([0, 2, 4, 6, 8])
  })

  test("let so many requests wait for their answers, and only while these may come", () => {
    const looks = new ModelLooks({ everyS: 2, waitS: 0.5, waitersMax: 2 })
    expect(looks.join(0)).toBeUndefined()
    looks.begin(1)
    expect([looks.join(1), looks.join(1.4), looks.join(1.4)]).toEqual([1.5, 1.5, undefined])
    looks.begin(3)
    expect([looks.join(3), looks.join(3.5)]).toEqual([3.5, undefined])
  })
})

const deskOf = (options: Partial<AdmissionOptions> = {}) => {
  const scheduler = fleetOf(2, {})
  const answers: Array<string> = []
  const admission = new Admission<number>(
    scheduler,
    { ...admissionDefaults, podlessS: 10, ...options },
    (_, outcome: Placement | string) => answers.push(typeof outcome === "string" ? outcome : outcome.address.id)
  )
  const wait = (terms: Partial<WaitingTerms> = {}, nowS = 0) =>
    admission.waitForModel(requestOfWork(1, { model: "sql" }), [], termsOf(terms), 1, nowS + 0.5, nowS)
  const load = (row: number, nowS: number): void => {
    scheduler.describe(pod(row).id, 16, 100_000, ["m", "sql"])
    admission.podCame(undefined, nowS)
  }
  return { admission, answers, load, wait }
}

describe("a request for a model that no pod is known to serve", () => {
  test("goes to the pod that turns out to serve it, at once", () => {
    const { answers, load, wait } = deskOf()
    expect(wait()).toBe("waiting")
    load(1, 0.01)
    expect(answers).toEqual([pod(1).id])
  })

  test("is refused for its unknown model once the answers should have come", () => {
    const { admission, answers, wait } = deskOf()
    wait()
    admission.settle(0.4)
    expect(answers).toEqual([])
    admission.settle(0.5)
    expect(answers).toEqual(["unknown-model"])
    expect(admission.room.count).toBe(0)
  })

  test("waits no longer than its client or the room lets it, and is told the same", () => {
    const { admission, answers, wait } = deskOf()
    wait({ clientDeadlineS: 0.1 })
    admission.settle(0.2)
    const short = deskOf({ podlessS: 0.1 })
    short.wait()
    short.admission.settle(0.2)
    expect([answers, short.answers]).toEqual([["unknown-model"], ["unknown-model"]])
  })

  test("does not wait where requests may not wait for pods, nor pushes others out of a full room", () => {
    expect(deskOf({ podlessS: 0 }).wait()).toBe("unknown-model")
    const { answers, wait } = deskOf({ requestsMax: 1 })
    expect([wait({ priority: -1 }), wait({ priority: 5 })]).toEqual(["waiting", "unknown-model"])
    expect(answers).toEqual([])
  })
})
