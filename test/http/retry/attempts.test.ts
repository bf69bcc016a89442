import { describe, expect, test } from "bun:test"
import type { Decision } from "../../../actors/SchedulerPort.ts"
import { podAddress } from "../../../src/core/Pod.ts"
import { Attempts } from "../../../src/http/retry/Attempts.ts"
import { faultOfError, faultOfStatus } from "../../../src/http/retry/PodFault.ts"
import { RetryBudget } from "../../../src/http/retry/RetryBudget.ts"
import { ScriptedScheduler } from "../ScriptedScheduler.ts"

const decision = (reservation: number): Decision => ({
  reservation,
  address: podAddress("10.0.0.1", 8000 + reservation, false),
  policy: "scripted",
  promptTokens: 1,
  hitTokens: 0,
  predictedTtftS: 1
})

const terms = () => ({
  retriesMax: 2,
  isRepeatable: true,
  budget: new RetryBudget(() => ({ retryShare: 0, retryBurst: 100 }))
})

const refused = faultOfError({ kind: "refused", message: "no", answered: false })
const reset = faultOfError({ kind: "broken", message: "reset", answered: false })

describe("the blame for a failed try", () => {
  test("is the pod's at once when it refused, broke off or said 503", () => {
    const scheduler = new ScriptedScheduler([])
    const attempts = new Attempts()
    for (const [index, fault] of [refused, reset, faultOfStatus(503)].entries()) {
      attempts.failed(decision(index), fault, scheduler)
    }
    expect(scheduler.failures.map(({ reservation, sure }) => [reservation, sure])).toEqual([
      [0, true],
      [1, true],
      [2, true]
    ])
  })

  test("for a 500 is the pod's once another pod did it", () => {
    const scheduler = new ScriptedScheduler([])
    const attempts = new Attempts()
    attempts.failed(decision(0), faultOfStatus(500), scheduler)
    expect(scheduler.failures).toEqual([])
    attempts.served(scheduler)
    attempts.over(scheduler)
    expect(scheduler.failures.map(({ reservation, sure }) => [reservation, sure])).toEqual([[0, true]])
  })

  test("for a 500 of two pods is the request's, which is not tried a third time", () => {
    const scheduler = new ScriptedScheduler([])
    const attempts = new Attempts()
    attempts.failed(decision(0), faultOfStatus(500), scheduler)
    expect(attempts.denial(faultOfStatus(500), terms())).toBeUndefined()
    attempts.failed(decision(1), faultOfStatus(500), scheduler)
    expect(attempts.denial(faultOfStatus(500), terms())).toBe("request-fault")
    attempts.over(scheduler)
    expect(scheduler.failures).toEqual([])
  })

  test("for a 500 that no other pod was asked about is in doubt", () => {
    const scheduler = new ScriptedScheduler([])
    const attempts = new Attempts()
    attempts.failed(decision(0), faultOfStatus(500), scheduler)
    attempts.over(scheduler)
    expect(scheduler.failures.map(({ sure }) => sure)).toEqual([false])
  })

  test("is nobody's when our own sockets ran out", () => {
    const scheduler = new ScriptedScheduler([])
    new Attempts().failed(
      decision(0),
      faultOfError({ kind: "exhausted", message: "all in use", answered: false }),
      scheduler
    )
    expect(scheduler.failures).toEqual([])
  })
})

describe("another try", () => {
  const after = (fault: typeof reset, changes: Partial<ReturnType<typeof terms>> = {}, tries = 1) => {
    const attempts = new Attempts()
    for (let i = 0; i < tries; i++) attempts.failed(decision(i), fault, new ScriptedScheduler([]))
    return attempts.denial(fault, { ...terms(), ...changes })
  }

  test("ends at the limit", () => {
    expect([1, 2, 3].map((tries) => after(reset, {}, tries))).toEqual([undefined, undefined, "limit"])
  })

  test("at another pod is no retry when the first had no socket left for it", () => {
    const exhausted = faultOfError({ kind: "exhausted", message: "all in use", answered: false })
    const budget = new RetryBudget(() => ({ retryShare: 0, retryBurst: 0 }))
    expect(after(exhausted, { budget, isRepeatable: false, retriesMax: 0 }, 5)).toBeUndefined()
  })

  test("at another pod is no retry when the first refused the connection, for a while", () => {
    const budget = new RetryBudget(() => ({ retryShare: 0, retryBurst: 0 }))
    const denials = [1, 16, 17].map((tries) => after(refused, { budget, isRepeatable: false, retriesMax: 0 }, tries))
    expect(denials).toEqual([undefined, undefined, "limit"])
  })

  test("is left out when the budget is spent", () => {
    expect(after(reset, { budget: new RetryBudget(() => ({ retryShare: 0, retryBurst: 0 })) })).toBe("budget")
  })

  test("of what must not run twice is made only when it surely did not run", () => {
    const isRepeatable = false
    expect([refused, faultOfStatus(503), reset, faultOfStatus(502)].map((fault) => after(fault, { isRepeatable })))
      .toEqual([
        undefined,
        undefined,
        "unsafe",
        "unsafe"
      ])
  })
})
