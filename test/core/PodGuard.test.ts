import { describe, expect, test } from "bun:test"
import type { BreakerChange } from "../../src/core/PodGuard.ts"
import type { RequestFeatures } from "../../src/core/RequestFeatures.ts"
import type { Placement } from "../../src/core/Placement.ts"
import { pod, requestOf, roundConstants, schedulerOf, seededRandom } from "../policies/fleet.ts"

const breaker = {
  failuresInRow: 3,
  failureRatio: 0.5,
  requestsMin: 10,
  windowS: 20,
  openMinS: 1,
  openMaxS: 8
}

const request: RequestFeatures = { ...requestOf(100), outputTokensMax: 10 }

/** Pods that accept since the time 0, under a policy that takes the last candidate. */
const fleet = (podCount: number) => {
  const changes: Array<BreakerChange> = []
  const pods = Array.from({ length: podCount }, (_, index) => pod(index))
  const scheduler = schedulerOf(pods, {
    policy: { type: "last", pick: ({ candidateCount, candidates }) => candidates[candidateCount - 1] ?? -1 },
    openRequestsMax: 10_000,
    random: seededRandom(7),
    guard: { breaker, slowStartS: 10, stallAfterS: 30, onChange: (change) => void changes.push(change) }
  })
  const accept = (index: number, accepting: boolean, nowS: number): void =>
    scheduler.observe(pod(index).id, accepting, 0, 0, 0, nowS)
  const strain = (index: number, strained: boolean, nowS: number): void =>
    scheduler.observe(pod(index).id, true, 0, 0, 0, nowS, undefined, strained)
  const pick = (nowS: number): Placement => {
    const placement = scheduler.pick(request, [], nowS)
    if (typeof placement === "string") throw new Error(`refused: ${placement}`)
    return placement
  }
  /** Picks and ends the request at once, as served. Returns its pod. */
  const serve = (nowS: number): string => {
    const { address, reservation } = pick(nowS)
    scheduler.firstToken(reservation, nowS)
    scheduler.end(reservation, {}, nowS)
    return address.id
  }
  const fail = (index: number, nowS: number, sure = true): void =>
    scheduler.podFailed(pod(index).id, 9_999_999, sure, "reset", nowS)
  const breakPod = (index: number, nowS: number): void => {
    for (let i = 0; i < breaker.failuresInRow; i++) fail(index, nowS)
  }
  return { scheduler, changes, accept, strain, pick, serve, fail, breakPod }
}

describe("a broken pod", () => {
  test("takes its breaker along when it leaves", () => {
    const { breakPod, scheduler } = fleet(2)
    breakPod(1, 0)
    expect([scheduler.guard.notClosed, scheduler.guard.retryInS(0)]).toEqual([1, 1])
    scheduler.leave(pod(1).id)
    expect([scheduler.guard.notClosed, scheduler.guard.retryInS(0)]).toEqual([0, undefined])
  })

  test("gets nothing while its breaker is open, then one request, and all again once that was served", () => {
    const { breakPod, pick, scheduler, serve } = fleet(2)
    breakPod(1, 0)
    expect(serve(0.5)).toBe(pod(0).id)
    const probe = pick(1)
    expect([probe.address.id, probe.probes]).toEqual([pod(1).id, true])
    expect(serve(1)).toBe(pod(0).id)
    scheduler.firstToken(probe.reservation, 1.1)
    expect(serve(1.2)).toBe(pod(1).id)
  })

  test("stays out when the request that tried it failed, and another may try after one that said nothing", () => {
    const { breakPod, pick, scheduler, serve } = fleet(2)
    breakPod(1, 0)
    const aborted = pick(1)
    scheduler.end(aborted.reservation, {}, 1)
    const probe = pick(1)
    expect([aborted.address.id, probe.address.id]).toEqual([pod(1).id, pod(1).id])
    scheduler.podFailed(pod(1).id, probe.reservation, true, "reset", 1)
    scheduler.end(probe.reservation, {}, 1)
    expect(serve(2.9)).toBe(pod(0).id)
    expect(serve(3)).toBe(pod(1).id)
  })

  test("is told of at each change, with the reason and how long", () => {
    const { breakPod, changes, serve } = fleet(2)
    breakPod(1, 0)
    serve(1)
    const address = pod(1)
    expect(changes).toEqual([
      { address, state: "open", why: "reset", openS: 1 },
      { address, state: "half-open", why: "", openS: 0 },
      { address, state: "closed", why: "", openS: 0 }
    ])
  })

  test("is no pod to pick even when there is no other, and it is known when to come again", () => {
    const { breakPod, scheduler } = fleet(1)
    expect(scheduler.guard.retryInS(0)).toBeUndefined()
    breakPod(0, 0)
    expect(scheduler.pick(request, [], 0.25)).toBe("no-pod")
    expect(scheduler.guard.retryInS(0.25)).toBe(0.75)
    expect(scheduler.explain(request, 0.25).pods[0]?.excluded).toBe("breaker-open")
  })

  test("may be tried at once when its process started anew", () => {
    const { breakPod, scheduler, serve } = fleet(2)
    breakPod(1, 0)
    scheduler.restarted(pod(1).id)
    expect(serve(0.1)).toBe(pod(1).id)
  })

  test("is the same pod when it is described at last: its failures count, and its open time goes on", () => {
    const { breakPod, fail, scheduler, serve } = fleet(2)
    for (let i = 1; i < breaker.failuresInRow; i++) fail(1, 0)
    scheduler.describe(pod(1).id, 64, 1e6, ["m"])
    fail(1, 0)
    expect(serve(0.5)).toBe(pod(0).id)
    breakPod(0, 0.5)
    scheduler.describe(pod(0).id, 64, 1e6, ["m"])
    expect(scheduler.pick(request, [], 0.6)).toBe("no-pod")
  })

  test("leaves nothing behind for the pod that takes its row", () => {
    const { accept, breakPod, scheduler, serve } = fleet(2)
    breakPod(1, 0)
    scheduler.leave(pod(1).id)
    scheduler.join(pod(2), roundConstants)
    scheduler.describe(pod(2).id, 16, 16_000, ["m"])
    accept(2, true, 0.1)
    expect(serve(0.1)).toBe(pod(2).id)
    expect(scheduler.guard.stateOf(1)).toBe("closed")
  })
})

describe("slow start", () => {
  const shareOf = (world: ReturnType<typeof fleet>, index: number, nowS: number): number => {
    const picks = Array.from({ length: 2000 }, () => world.serve(nowS))
    return picks.filter((id) => id === pod(index).id).length / picks.length
  }

  test("gives a pod that is back a growing share of the picks", () => {
    const world = fleet(2)
    world.accept(1, false, 100)
    world.accept(1, true, 110)
    expect(shareOf(world, 1, 110)).toBeCloseTo(0.1, 1)
    expect(shareOf(world, 1, 115)).toBeCloseTo(0.5, 1)
    expect(shareOf(world, 1, 120)).toBe(1)
  })

  test("follows a breaker that closes", () => {
    const world = fleet(2)
    world.breakPod(1, 100)
    expect(world.serve(101)).toBe(pod(1).id)
    expect(shareOf(world, 1, 106)).toBeCloseTo(0.5, 1)
  })

  test("is for newcomers among pods at work: at the start of a gateway nobody ramps", () => {
    const world = fleet(1)
    world.scheduler.join(pod(1), roundConstants)
    world.scheduler.describe(pod(1).id, 16, 16_000, ["m"])
    world.accept(1, true, 5)
    expect(shareOf(world, 1, 5)).toBe(1)
  })

  test("never leaves a request without a pod", () => {
    const world = fleet(2)
    world.accept(1, false, 100)
    world.accept(1, true, 110)
    world.accept(0, false, 110)
    expect(shareOf(world, 1, 110)).toBe(1)
  })

  test("shows its share in an explanation, and what it kept from the pod", () => {
    const world = fleet(2)
    world.accept(1, false, 100)
    world.accept(1, true, 110)
    expect(world.scheduler.explain(request, 115).pods.map(({ pickShare }) => pickShare)).toEqual([1, 0.5])
    expect(world.scheduler.guard.passedOver(1)).toEqual({ slowStart: 0, stall: 0 })
    const served = Array.from({ length: 100 }, () => world.serve(115))
    const others = served.filter((id) => id === pod(0).id).length
    expect(others).toBeGreaterThan(0)
    expect(world.scheduler.guard.passedOver(1)).toEqual({ slowStart: others, stall: 0 })
    expect(world.scheduler.explain(request, 120).pods[1]?.pickShare).toBe(1)
    world.scheduler.leave(pod(1).id)
    expect(world.scheduler.guard.passedOver(1)).toEqual({ slowStart: 0, stall: 0 })
  })

  test("plays no part in an explanation", () => {
    const world = fleet(2)
    world.accept(1, false, 100)
    world.accept(1, true, 110)
    for (let i = 0; i < 50; i++) expect(world.scheduler.explain(request, 110).picked).toBeUndefined()
    expect(world.scheduler.explain(request, 110).pods.map(({ excluded }) => excluded)).toEqual([undefined, undefined])
  })
})

describe("a pod that answers no question about itself", () => {
  test("is passed over while others are left, until it answers again", () => {
    const { scheduler, serve, strain } = fleet(2)
    strain(1, true, 1)
    expect(serve(2)).toBe(pod(0).id)
    expect(scheduler.explain(request, 2).pods.map(({ stalled }) => stalled)).toEqual([false, true])
    expect(scheduler.guard.passedOver(1)).toEqual({ slowStart: 0, stall: 1 })
    strain(1, false, 3)
    expect(serve(4)).toBe(pod(1).id)
  })

  test("gets what no other can take", () => {
    const { accept, serve, strain } = fleet(2)
    strain(1, true, 1)
    accept(0, false, 2)
    expect(serve(3)).toBe(pod(1).id)
  })
})

describe("a pod without a sign of life", () => {
  test("is passed over while others are left, until a first token comes", () => {
    const { pick, scheduler, serve } = fleet(2)
    const { address, reservation } = pick(0)
    expect(address.id).toBe(pod(1).id)
    expect(serve(29)).toBe(pod(1).id)
    const stuck = pick(30)
    expect(stuck.address.id).toBe(pod(1).id)
    expect(scheduler.explain(request, 70).pods.map(({ stalled }) => stalled)).toEqual([false, true])
    expect(serve(70)).toBe(pod(0).id)
    expect(scheduler.guard.passedOver(1)).toEqual({ slowStart: 0, stall: 1 })
    scheduler.firstToken(reservation, 70)
    expect(serve(70)).toBe(pod(1).id)
  })

  test("still gets requests when there is no other", () => {
    const { pick, serve } = fleet(1)
    pick(0)
    expect(serve(1000)).toBe(pod(0).id)
  })
})
