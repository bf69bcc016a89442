import { describe, expect, test } from "bun:test"
import { podAddress } from "../../src/core/Pod.ts"
import type { RequestFeatures } from "../../src/core/RequestFeatures.ts"
import { firstCandidate, requestOf, schedulerOf } from "../policies/fleet.ts"

const pods = [8000, 8001, 8002, 8003].map((port) => podAddress(port < 8002 ? "10.0.0.1" : "10.0.0.2", port, false))
const ids = pods.map((pod) => pod.id)

const request = (overrides: Partial<RequestFeatures> = {}): RequestFeatures => ({
  ...requestOf(1000),
  outputTokensMax: 64,
  ...overrides
})

/** Four pods; the policy takes the first that it may, and counts how often it is asked. */
const fourPods = () => {
  let asked = 0
  const scheduler = schedulerOf(pods, {
    policy: {
      type: "first",
      pick: (context) => {
        asked++
        return firstCandidate.pick(context)
      }
    }
  })
  const pick = (features: RequestFeatures) => {
    const placement = scheduler.pick(features, [], 1)
    return typeof placement === "string" ? placement : [placement.address, ...placement.fallbacks].map(({ id }) => id)
  }
  return { scheduler, pick, asked: () => asked }
}

describe("fallbacks beside a pick", () => {
  test("are the pods that would answer first, after the picked one, and no more than were asked for", () => {
    const { pick } = fourPods()
    pick(request({ only: [ids[1]!] }))
    pick(request({ only: [ids[1]!] }))
    pick(request({ only: [ids[2]!] }))
    expect(pick(request({ fallbacksMax: 3 }))).toEqual([ids[0]!, ids[3]!, ids[2]!, ids[1]!])
    expect(pick(request({ fallbacksMax: 1 }))).toEqual([ids[0]!, ids[3]!])
    expect(pick(request())).toEqual([ids[0]!])
  })

  test("are charged nothing, and the policy is asked once", () => {
    const { asked, pick, scheduler } = fourPods()
    pick(request({ fallbacksMax: 3 }))
    expect(asked()).toBe(1)
    expect(Array.from(scheduler.table.prefilling.slice(0, 4))).toEqual([1, 0, 0, 0])
    expect(scheduler.openRequests).toBe(1)
  })
})

describe("a request that names the pods it allows", () => {
  test("goes to one of them, and has no other as a fallback", () => {
    const { pick } = fourPods()
    expect(pick(request({ only: [ids[3]!, ids[1]!], fallbacksMax: 5 }))).toEqual([ids[1]!, ids[3]!])
  })

  test("may name a host for all its ports", () => {
    const { pick } = fourPods()
    expect(pick(request({ only: ["10.0.0.2"], fallbacksMax: 5 }))).toEqual([ids[2]!, ids[3]!])
  })

  test("is refused when none of them is there", () => {
    const { pick } = fourPods()
    expect(pick(request({ only: ["10.0.0.3"] }))).toBe("no-pod")
    expect(pick(request({ only: [] }))).toBe("no-pod")
  })
})
