import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { podAddress } from "../../src/core/Pod.ts"
import { Scheduler } from "../../src/core/Scheduler.ts"
import { policyNames } from "../../src/policies/registry.ts"
import { policyOf, promptOf, roundConstants, seededRandom } from "./fleet.ts"

const PODS = 6
const podsAt = Array.from({ length: 10 }, (_, pod) => podAddress("10.0.0.1", 8000 + pod, false))

const event = fc.record({
  kind: fc.constantFrom("join", "leave", "restart", "pick", "pick", "pick", "first token", "end"),
  pod: fc.nat(podsAt.length - 1),
  prompt: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 5 }),
  sessionHash: fc.nat(5),
  waitS: fc.double({ min: 0, max: 100, noNaN: true })
})

/** Plays the events to a scheduler, asking it for an explanation before each if so told; answers where picks went. */
const play = (
  policy: string,
  events: ReadonlyArray<typeof event extends fc.Arbitrary<infer E> ? E : never>,
  explains: boolean
) => {
  let random = seededRandom(1)
  const scheduler = new Scheduler({
    policy: policyOf({ type: policy }),
    podsMax: PODS,
    openRequestsMax: 1000,
    modelsMax: 4,
    prefixEntriesMax: 10_000,
    initialOutputTokens: 100,
    random: () => random()
  })
  const live = new Set<string>()
  const open: Array<number> = []
  const placed: Array<string> = []
  let nowS = 0
  for (const { kind, pod, prompt, sessionHash, waitS } of events) {
    nowS += waitS
    const address = { ...podsAt[pod]! }
    const request = { ...promptOf(...prompt), sessionHash }
    if (explains) scheduler.explain(request, nowS)
    random = seededRandom(placed.length)
    if (kind === "join" && scheduler.join(address, roundConstants)) {
      scheduler.describe(address.id, 16, 1000, ["m"])
      scheduler.observe(address.id, true, 0, pod % 3, pod / 10, nowS)
      live.add(address.id)
    } else if (kind === "leave") {
      scheduler.leave(address.id)
      live.delete(address.id)
    } else if (kind === "restart") {
      scheduler.restarted(address.id)
    } else if (kind === "pick") {
      const placement = scheduler.pick(request, [address.id], nowS)
      const others = [...live].filter((id) => id !== address.id)
      if (typeof placement === "string") {
        expect(others).toEqual([])
      } else {
        expect(others).toContain(placement.address.id)
        open.push(placement.reservation)
        placed.push(placement.address.id)
      }
    } else if (kind === "first token") {
      scheduler.firstToken(open.at(-1) ?? 0, nowS)
    } else {
      scheduler.end(open.pop() ?? 0, { outputTokens: 50 }, nowS)
    }
  }
  return placed
}

describe("every policy", () => {
  test.each(policyNames)("%s only ever picks pods that are there while they come and go, explained or not", (name) => {
    fc.assert(
      fc.property(fc.array(event, { minLength: 30, maxLength: 120 }), (events) => {
        expect(play(name, events, true)).toEqual(play(name, events, false))
      }),
      { numRuns: 40 }
    )
  })
})
