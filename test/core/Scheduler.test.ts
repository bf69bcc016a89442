import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import type { BlockChain } from "../../src/core/BlockChain.ts"
import type { EngineConstants } from "../../src/core/EngineConstants.ts"
import type { Policy } from "../../src/core/Policy.ts"
import type { RequestFeatures } from "../../src/core/RequestFeatures.ts"
import type { Placement } from "../../src/core/Placement.ts"
import type { Scheduler, SchedulerOptions } from "../../src/core/Scheduler.ts"
import { pod, requestOf, roundConstants, schedulerOf } from "../policies/fleet.ts"

const constants: EngineConstants = { ...roundConstants, kvCapacityTokens: 16_000 }

const chainOf = (group: number, blocks: number): BlockChain => ({
  low: Uint32Array.from({ length: blocks }, (_, i) => Math.imul(group * 1000 + i + 1, 2_654_435_761)),
  high: Uint32Array.from({ length: blocks }, (_, i) => Math.imul(group * 1000 + i + 1, 2_246_822_519)),
  length: blocks
})

const request = (group: number, overrides: Partial<RequestFeatures> = {}): RequestFeatures => ({
  ...requestOf(160),
  outputTokensMax: 64,
  chain: () => chainOf(group, 10),
  ...overrides
})

const schedulerWith = (podCount: number, options: Partial<SchedulerOptions> = {}): Scheduler =>
  schedulerOf(Array.from({ length: podCount }, (_, index) => pod(index)), options, constants)

const placed = (
  scheduler: Scheduler,
  features: RequestFeatures,
  nowS: number,
  excluded: Array<string> = []
): Placement => {
  const placement = scheduler.pick(features, excluded, nowS)
  if (typeof placement === "string") throw new Error(`refused: ${placement}`)
  return placement
}

const load = (scheduler: Scheduler, row: number) => {
  const { table } = scheduler
  return {
    prefilling: table.prefilling[row],
    decoding: table.decoding[row],
    aheadS: table.prefillAheadS[row],
    aheadTokens: table.prefillAheadTokens[row],
    decodingTokens: table.decodingTokens[row],
    prefillingTokens: table.prefillingTokens[row],
    usedTokens: table.usedTokens[row],
    decodingSinceS: table.decodingSinceS[row]
  }
}

const noLoad = {
  prefilling: 0,
  decoding: 0,
  aheadS: 0,
  aheadTokens: 0,
  decodingTokens: 0,
  prefillingTokens: 0,
  usedTokens: 0,
  decodingSinceS: 0
}

describe("a reservation", () => {
  test("is charged at the pick, moves at the first token and is gone at the end", () => {
    const scheduler = schedulerWith(1)
    const { reservation } = placed(scheduler, request(1), 0)
    const charged = load(scheduler, 0)
    expect(charged.prefilling).toBe(1)
    expect(charged.aheadS).toBeCloseTo(0.016, 9)
    expect(charged.aheadTokens).toBe(160)
    expect(charged.usedTokens).toBeGreaterThanOrEqual(160)
    scheduler.firstToken(reservation, 1)
    expect(load(scheduler, 0)).toMatchObject({ prefilling: 0, decoding: 1, aheadS: 0, decodingTokens: 192 })
    expect(load(scheduler, 0).decodingSinceS).toBe(1)
    scheduler.end(reservation, { outputTokens: 32 }, 2)
    expect(load(scheduler, 0)).toEqual(noLoad)
    expect(scheduler.openRequests).toBe(0)
  })

  test("is released once, however often its end and first token are told", () => {
    const scheduler = schedulerWith(1)
    const first = placed(scheduler, request(1), 0)
    const second = placed(scheduler, request(2), 0)
    for (let i = 0; i < 3; i++) scheduler.end(first.reservation, {}, 1)
    scheduler.firstToken(first.reservation, 1)
    expect(load(scheduler, 0).prefilling).toBe(1)
    // The slot of the first is taken again; its old number must not touch the new owner.
    const third = placed(scheduler, request(3), 1)
    scheduler.end(first.reservation, {}, 1)
    expect(load(scheduler, 0).prefilling).toBe(2)
    scheduler.end(second.reservation, {}, 2)
    scheduler.end(third.reservation, {}, 2)
    expect(load(scheduler, 0)).toEqual(noLoad)
  })

  test("of a plain answer counts as prefilled once its first token was due", () => {
    const scheduler = schedulerWith(1)
    const { predictedTtftS } = placed(scheduler, request(1, { streams: false }), 0)
    placed(scheduler, request(2), predictedTtftS / 2)
    expect(load(scheduler, 0)).toMatchObject({ prefilling: 2, decoding: 0 })
    placed(scheduler, request(3), predictedTtftS * 1.01)
    expect(load(scheduler, 0)).toMatchObject({ prefilling: 2, decoding: 1 })
  })

  test("of a plain answer that never came leaves no blocks behind, however long ago its first token was due", () => {
    const scheduler = schedulerWith(1)
    const { reservation } = placed(scheduler, request(1, { streams: false }), 0)
    placed(scheduler, request(2), 1000)
    const before = scheduler.sketchBlocks
    scheduler.end(reservation, {}, 1001)
    expect(scheduler.sketchBlocks).toBe(before - 10)
    expect(load(scheduler, 0)).toMatchObject({ prefilling: 1, decoding: 0 })
  })

  test("of a plain answer that came after its first token was due leaves its blocks behind", () => {
    const scheduler = schedulerWith(1)
    const { reservation } = placed(scheduler, request(1, { streams: false }), 0)
    placed(scheduler, request(2), 1000)
    const before = scheduler.sketchBlocks
    scheduler.firstToken(reservation, 1001)
    scheduler.end(reservation, { outputTokens: 10 }, 1001)
    expect(scheduler.sketchBlocks).toBe(before)
    expect(placed(scheduler, request(1), 1002).hitTokens).toBe(159)
  })

  test("is not taken for a pick whose policy names what is no pod", () => {
    const scheduler = schedulerWith(1, { policy: { type: "astray", pick: () => 5 }, openRequestsMax: 1 })
    for (let i = 0; i < 3; i++) expect(() => scheduler.pick(request(1), [], 0)).toThrow("which is no pod")
    expect(scheduler.openRequests).toBe(0)
  })

  test("is forgotten when its pod restarts, and its end then changes nothing", () => {
    const scheduler = schedulerWith(1)
    const before = placed(scheduler, request(1), 0)
    scheduler.firstToken(before.reservation, 1)
    scheduler.restarted(pod(0).id)
    expect(load(scheduler, 0)).toEqual(noLoad)
    const after = placed(scheduler, request(1), 2)
    expect(after.hitTokens).toBe(0)
    const charged = load(scheduler, 0)
    scheduler.end(before.reservation, { outputTokens: 5 }, 3)
    expect(load(scheduler, 0)).toEqual(charged)
  })

  test("does not leak onto the pod that takes over the row of one that left", () => {
    const scheduler = schedulerWith(1)
    const before = placed(scheduler, request(1), 0)
    scheduler.leave(pod(0).id)
    scheduler.join(pod(5), constants)
    expect(scheduler.table.rowOf(pod(5).id)).toBe(0)
    scheduler.firstToken(before.reservation, 1)
    scheduler.end(before.reservation, {}, 1)
    expect(load(scheduler, 0)).toEqual(noLoad)
    expect(scheduler.openRequests).toBe(0)
  })
})

describe("the prefix sketch", () => {
  test("counts a prompt as cached from the pick on, but never its last token", () => {
    const scheduler = schedulerWith(1)
    const first = placed(scheduler, request(1), 0)
    expect(first.hitTokens).toBe(0)
    expect(placed(scheduler, request(1), 0).hitTokens).toBe(159)
    expect(placed(scheduler, request(1, { chain: () => chainOf(1, 4), promptTokens: 70 }), 0).hitTokens).toBe(64)
  })

  test("forgets a prompt whose request died before its first token", () => {
    const scheduler = schedulerWith(1)
    const { reservation } = placed(scheduler, request(1), 0)
    scheduler.end(reservation, {}, 1)
    expect(placed(scheduler, request(1), 2).hitTokens).toBe(0)
  })

  test("keeps a prompt whose request got its first token", () => {
    const scheduler = schedulerWith(1)
    const { reservation } = placed(scheduler, request(1), 0)
    scheduler.firstToken(reservation, 1)
    scheduler.end(reservation, { outputTokens: 20 }, 1)
    expect(placed(scheduler, request(1), 2).hitTokens).toBe(159)
  })

  test("survives an export and a restore into another scheduler", () => {
    const before = schedulerWith(1)
    const { reservation } = placed(before, request(7), 0)
    before.firstToken(reservation, 1)
    before.end(reservation, {}, 1)
    const sketch = before.exportSketch(pod(0).id)
    if (sketch === undefined) throw new Error("no sketch")
    const after = schedulerWith(0)
    after.join(pod(0), constants)
    expect(after.restoreSketch(pod(0).id, sketch)).toBeUndefined()
    after.describe(pod(0).id, 16, 16_000, ["m"])
    after.observe(pod(0).id, true, 0, 0, 0, 0)
    expect(placed(after, request(7), 2).hitTokens).toBe(159)
  })

  test("is measured at each pod's own block size", () => {
    const scheduler = schedulerWith(2)
    scheduler.describe(pod(1).id, 32, 16_000, ["m"])
    const asked: Array<number> = []
    const features = request(1, {
      chain: (size) => {
        asked.push(size)
        return chainOf(size, 160 / size)
      }
    })
    placed(scheduler, features, 0)
    expect(new Set(asked)).toEqual(new Set([16, 32]))
    expect(placed(scheduler, features, 0, [pod(0).id]).hitTokens).toBe(0)
    expect(placed(scheduler, features, 0, [pod(0).id]).hitTokens).toBe(159)
  })
})

describe("candidates", () => {
  test("are the accepting pods that serve the model and are not excluded", () => {
    const scheduler = schedulerWith(3)
    scheduler.describe(pod(1).id, 16, 16_000, ["m", "lora"])
    scheduler.observe(pod(0).id, false, 0, 0, 0, 0)
    expect(placed(scheduler, request(1), 0).address.id).toBe(pod(1).id)
    expect(placed(scheduler, request(1), 0, [pod(1).id]).address.id).toBe(pod(2).id)
    expect(placed(scheduler, request(1, { model: "lora" }), 0).address.id).toBe(pod(1).id)
    expect(placed(scheduler, request(1, { model: "" }), 0).address.id).toBe(pod(1).id)
  })

  test("missing: an unknown model, a model without a healthy pod and an empty pool differ", () => {
    const scheduler = schedulerWith(1)
    expect(scheduler.pick(request(1, { model: "nope" }), [], 0)).toBe("unknown-model")
    scheduler.observe(pod(0).id, false, 0, 0, 0, 0)
    expect(scheduler.pick(request(1), [], 0)).toBe("no-pod")
    scheduler.leave(pod(0).id)
    expect(scheduler.pick(request(1), [], 0)).toBe("no-pod")
  })

  test("missing: a pod that has not said yet what it serves may serve any model", () => {
    const scheduler = schedulerWith(1)
    scheduler.join(pod(1), constants)
    expect(scheduler.pick(request(1, { model: "nope" }), [], 0)).toBe("no-pod")
    scheduler.describe(pod(1).id, 16, 16_000, ["other"])
    expect(scheduler.pick(request(1, { model: "nope" }), [], 0)).toBe("unknown-model")
  })

  test("run out at the limit of open requests, and come back when one ends", () => {
    const scheduler = schedulerWith(1, { openRequestsMax: 1 })
    const { reservation } = placed(scheduler, request(1), 0)
    expect(scheduler.pick(request(2), [], 0)).toBe("too-many-open")
    scheduler.end(reservation, {}, 1)
    placed(scheduler, request(2), 1)
  })
})

describe("load that others send", () => {
  test("counts once two scrapes in a row saw it, and only beyond our own", () => {
    const scheduler = schedulerWith(1)
    placed(scheduler, request(1), 0)
    scheduler.observe(pod(0).id, true, 3, 2, 0.5, 1)
    expect(scheduler.table.foreignRunning[0]).toBe(0)
    scheduler.observe(pod(0).id, true, 3, 2, 0.5, 2)
    expect(scheduler.table.foreignWaiting[0]).toBe(1)
    expect(scheduler.table.foreignRunning[0]).toBe(3)
    scheduler.observe(pod(0).id, true, 1, 0, 0.5, 3)
    expect(scheduler.table.foreignRunning[0]).toBe(0)
  })
})

test("whatever happens in whatever order, the load is what is open and nothing is left at the end", () => {
  const step = fc.record({
    kind: fc.constantFrom("pick", "firstToken", "end", "restart", "leave", "rejoin", "observe"),
    which: fc.nat(1000),
    group: fc.integer({ min: 0, max: 9 }),
    streams: fc.boolean()
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const policy: Policy = {
        type: "any",
        pick: (context) => context.candidates[context.request.sessionHash % context.candidateCount] ?? -1
      }
      const scheduler = schedulerWith(3, { policy, openRequestsMax: 32 })
      const numbers: Array<number> = []
      let nowS = 0
      for (const { kind, which, group, streams } of steps) {
        nowS += 0.01
        const id = pod(which % 3).id
        const number = numbers[which % Math.max(1, numbers.length)] ?? -1
        if (kind === "pick") {
          const placement = scheduler.pick(request(group, { streams, sessionHash: which }), [], nowS)
          if (typeof placement !== "string") numbers.push(placement.reservation)
        } else if (kind === "firstToken") scheduler.firstToken(number, nowS)
        else if (kind === "end") scheduler.end(number, { outputTokens: which }, nowS)
        else if (kind === "restart") scheduler.restarted(id)
        else if (kind === "leave") scheduler.leave(id)
        else if (kind === "observe") scheduler.observe(id, true, which % 7, which % 3, 0.5, nowS)
        else {
          scheduler.join(pod(which % 3), constants)
          scheduler.describe(id, 16, 16_000, ["m"])
          scheduler.observe(id, true, 0, 0, 0, nowS)
        }
        let charged = 0
        for (let row = 0; row < scheduler.table.rowCount; row++) {
          charged += (scheduler.table.prefilling[row] ?? 0) + (scheduler.table.decoding[row] ?? 0)
        }
        expect(charged).toBeLessThanOrEqual(scheduler.openRequests)
      }
      for (const number of numbers) scheduler.end(number, {}, nowS)
      expect(scheduler.openRequests).toBe(0)
      for (let row = 0; row < scheduler.table.rowCount; row++) expect(load(scheduler, row)).toEqual(noLoad)
    }),
    { numRuns: 300 }
  )
})

test("an answer takes the room of its blocks in the sketch, the prompt's partly filled one included", () => {
  const evictions = (outputTokens: number): number => {
    const scheduler = schedulerWith(1)
    // 25 blocks of capacity: prompts of 10 blocks and 5 tokens leave room for 5 more once two are cached.
    scheduler.describe(pod(0).id, 16, 25 * 16, ["m"])
    for (const group of [1, 2]) {
      const { reservation } = placed(scheduler, request(group, { promptTokens: 165 }), group)
      scheduler.firstToken(reservation, group)
      scheduler.end(reservation, { outputTokens: group === 1 ? 0 : outputTokens }, group)
    }
    return 20 - scheduler.sketchBlocks
  }
  // 5 + 76 - 1 = 80 tokens are 5 blocks, one more token needs a sixth.
  expect(evictions(76)).toBe(0)
  expect(evictions(77)).toBe(1)
})

const lastCandidate: Policy = { type: "last", pick: (context) => context.candidates[context.candidateCount - 1] ?? -1 }

test("a new policy has the next pick, and what the old one charged is given back as before", () => {
  const scheduler = schedulerWith(2)
  const before = placed(scheduler, request(1), 0)
  scheduler.replacePolicy(lastCandidate)
  const after = placed(scheduler, request(1), 1)
  expect([before.address.id, after.address.id]).toEqual([pod(0).id, pod(1).id])
  expect(scheduler.policyType).toBe("last")
  for (const { reservation } of [before, after]) scheduler.end(reservation, {}, 2)
  expect(scheduler.openRequests).toBe(0)
})

test("a recalibrated pod has the new constants and keeps its capacity, its sketch and its reservations", () => {
  const scheduler = schedulerWith(1)
  const first = placed(scheduler, request(1), 0)
  const aheadS = scheduler.table.prefillAheadS[0] ?? 0
  scheduler.recalibrate(pod(0).id, { ...constants, prefillTokenS: 1, kvCapacityTokens: 48 })
  expect(scheduler.table.prefillTokenS[0]).toBe(1)
  expect(scheduler.table.kvCapacityTokens[0]).toBe(16_000)
  expect(scheduler.table.prefillAheadS[0]).toBe(aheadS)
  scheduler.firstToken(first.reservation, 1)
  scheduler.end(first.reservation, {}, 2)
  expect(scheduler.table.prefillAheadS[0]).toBe(0)
  expect(placed(scheduler, request(1), 3).hitTokens).toBeGreaterThan(0)
})
