import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { Overload } from "../../../src/core/waiting/Overload.ts"
import { CAPACITY_PER_S, type Client, clientsOf, type FleetSettings, serveAll, type Served } from "./overloadedFleet.ts"

const AFTER_S = 20
const LIGHT_FLOWS = 4

/** Tells an overload what came and went each second. */
const watched = (seconds: ReadonlyArray<readonly [asked: number, sentOff: number]>): Overload => {
  const overload = new Overload()
  overload.pass(0, AFTER_S)
  for (const [second, [asked, sentOff]] of seconds.entries()) {
    if (asked > 0) overload.asked(asked)
    if (sentOff > 0) overload.sentOff(sentOff)
    overload.pass(second + 1, AFTER_S)
  }
  return overload
}

const times = <A>(count: number, each: A): ReadonlyArray<A> => Array.from({ length: count }, () => each)

describe("an overload", () => {
  test("persists once more came than went on for the whole time, and not a moment before", () => {
    expect(watched(times(19, [2, 1])).persists).toBe(false)
    expect(watched(times(20, [2, 1])).persists).toBe(true)
  })

  test("is over when as much goes on as comes, or nothing does", () => {
    expect(watched([...times(20, [2, 1] as const), ...times(9, [1, 1] as const)]).persists).toBe(true)
    expect(watched([...times(20, [2, 1] as const), ...times(10, [1, 1] as const)]).persists).toBe(false)
    expect(watched([...times(20, [2, 1] as const), ...times(10, [0, 0] as const)]).persists).toBe(false)
    const overload = watched(times(20, [2, 1]))
    overload.pass(1000, AFTER_S)
    expect(overload.persists).toBe(false)
  })

  test("is neither a burst nor a batch that was sent at once, whatever their size", () => {
    expect(watched([...times(14, [10, 1] as const), ...times(100, [0, 1] as const)]).persists).toBe(false)
    expect(watched([[10_000, 1], ...times(200, [0.5, 1] as const)]).persists).toBe(false)
  })

  test("is not made by clients who each send the next request after an answer, however long the queue", () => {
    const second = fc.double({ min: 0.5, max: 2, noNaN: true })
    fc.assert(fc.property(fc.array(second, { minLength: 40, maxLength: 200 }), (seconds) => {
      const closed = seconds.map((work) => [work, work] as const)
      expect(watched([[500, 1], ...closed]).persists).toBe(false)
    }))
  })

  test("says how long what was too much would take", () => {
    // Five seconds' worth came too much in each five.
    expect(watched(times(20, [2, 1])).excessS).toBeCloseTo(5)
    expect(watched(times(10, [2, 1])).excessS).toBe(0)
  })
})

/** What the defaults come to, of a TTFT of 2 s and a queue of 1 s. */
const target: FleetSettings = { overloadWaitS: 1.2, shortQueueMaxS: 0.02 }

const goodWorkPerS = (served: ReadonlyArray<Served>, fromS: number, untilS: number): number => {
  const good = served.filter(({ client, outcome, tpotS, ttftS }) =>
    client.atS >= fromS && client.atS < untilS && outcome === "answered" && ttftS <= 2 && tpotS <= 0.1
  )
  // Seconds of prefill; the square of the length counts for next to nothing in prompts so short.
  return good.reduce((sum, { client }) => sum + client.promptTokens * 60e-6, 0) / (untilS - fromS)
}

describe("a fleet at twice its capacity", () => {
  const served = serveAll(clientsOf(2 * CAPACITY_PER_S, 0, 65, 31), target)
  const late = served.filter(({ client }) => client.atS >= 45)

  test("does nearly as much inside the SLO as below it, once the overload has lasted", () => {
    const below = serveAll(clientsOf(0.8 * CAPACITY_PER_S, 0, 65, 19), target)
    expect(goodWorkPerS(served, 45, 65)).toBeGreaterThan(0.9 * goodWorkPerS(below, 45, 65))
  })

  test("does a small part of that where everybody waits as long as at other times", () => {
    const patient = serveAll(clientsOf(2 * CAPACITY_PER_S, 0, 65, 31))
    expect(goodWorkPerS(patient, 45, 65)).toBeLessThan(0.25 * goodWorkPerS(served, 45, 65))
  })

  test("keeps nobody waiting who is not served, and none longer than the target allows", () => {
    for (const { outcome, ttftS } of late) {
      expect(["answered", "queue-too-long", "waited-too-long"]).toContain(outcome)
      if (outcome === "answered") expect(ttftS).toBeLessThan(3)
    }
  })

  test("serves the high band and the light flows, whatever the heavy one sends", () => {
    const answered = (of: (client: Client) => boolean): number => {
      const asked = late.filter(({ client }) => of(client))
      return asked.filter(({ outcome }) => outcome === "answered").length / asked.length
    }
    expect(answered(({ priority }) => priority > 0)).toBeGreaterThan(0.98)
    expect(answered(({ flow }) => flow.startsWith("light"))).toBeGreaterThan(0.8)
    expect(answered(({ flow }) => flow === "heavy")).toBeLessThan(0.5)
  })
})

describe("the high band of a fleet that is nearly full", () => {
  const p99TtftS = (served: ReadonlyArray<Served>): number => {
    const high = served.filter(({ client }) => client.priority > 0 && client.atS >= 30 && client.atS < 60)
    for (const { outcome } of high) expect(outcome).toBe("answered")
    return high.map(({ ttftS }) => ttftS).toSorted((a, b) => a - b)[Math.floor(0.99 * high.length)]!
  }
  const clients = clientsOf(0.9 * CAPACITY_PER_S, 0, 70, 41)

  test("hardly waits, since the band below leaves room", () => {
    const aloneS = p99TtftS(serveAll(clients.filter(({ priority }) => priority > 0), target))
    const withAllS = p99TtftS(serveAll(clients, target))
    expect(withAllS).toBeLessThan(2 * aloneS)
    expect(p99TtftS(serveAll(clients, { ...target, yieldForS: 0 }))).toBeGreaterThan(4 * withAllS)
  })
})

/** What the heavy flow got of the work that was asked meanwhile, times what each light flow got. */
const heavyOverLight = (served: ReadonlyArray<Served>, fromS: number, untilS: number): number => {
  const work = (isOf: (flow: string) => boolean): number =>
    served.filter(({ client, outcome }) =>
      isOf(client.flow) && client.atS >= fromS && client.atS < untilS && outcome === "answered"
    ).reduce((sum, { client }) => sum + client.promptTokens, 0)
  return work((flow) => flow === "heavy") / (work((flow) => flow.startsWith("light")) / LIGHT_FLOWS)
}

test("a flow that sends ten times what each of four others does gets no more than they do of an overloaded fleet", () => {
  // The load goes on behind the part that counts, or what waits at its end would share an idle fleet.
  const served = serveAll(clientsOf(2 * CAPACITY_PER_S, 0, 85, 23), target)
  expect(heavyOverLight(served, 35, 80)).toBeLessThan(1.03)
})

describe("requests that nobody hurries", () => {
  test("are those of a burst that drains: all are answered", () => {
    const calm = clientsOf(0.3 * CAPACITY_PER_S, 0, 60, 5, Infinity)
    const burst = clientsOf(2 * CAPACITY_PER_S, 10, 20, 6, Infinity)
    const clients = [...calm, ...burst].toSorted((a, b) => a.atS - b.atS)
    for (const { outcome } of serveAll(clients, target)) expect(outcome).toBe("answered")
  })

  test("are those of a batch that was sent at once, though it takes long", () => {
    const batch = Array.from({ length: 3800 }, (_, i): Client => ({
      atS: i / 100_000,
      promptTokens: 300 + i % 2000,
      flow: "",
      priority: 0,
      leavesAfterS: Infinity
    }))
    for (const { outcome } of serveAll(batch, target)) expect(outcome).toBe("answered")
  })

  test("are those of clients who say how long they wait, and of a band that may wait as long as ever", () => {
    const crowd = clientsOf(2 * CAPACITY_PER_S, 0, 60, 8, Infinity)
    const patient = (saysItWaitsS: number | undefined, flow: string, priority: number): ReadonlyArray<Client> =>
      Array.from({ length: 40 }, (_, i) => ({
        atS: 40 + i / 2,
        promptTokens: 1000,
        flow,
        priority,
        leavesAfterS: Infinity,
        ...(saysItWaitsS === undefined ? {} : { saysItWaitsS })
      }))
    const clients = [...crowd, ...patient(90, "says", 0), ...patient(undefined, "batch", -1)].toSorted((a, b) =>
      a.atS - b.atS
    )
    const served = serveAll(clients, { ...target, bandOverloadWaitS: new Map([[-1, Infinity]]) })
    for (const { client, outcome } of served) {
      if (client.flow === "says" || client.flow === "batch") expect(outcome).toBe("answered")
    }
    expect(served.filter(({ outcome }) => outcome !== "answered").length).toBeGreaterThan(1000)
  })
})
