import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { decodeStepSeconds, prefillSeconds } from "../../src/core/EngineConstants.ts"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import { drain, type EngineEvent, engineOf, noChain, requestOf } from "./engineFixture.ts"

interface Arrival {
  readonly start: number
  readonly promptTokens: number
  readonly outputTokens: number
  readonly gapS: number
  readonly aborted: boolean
}

const ownersOf = (events: ReadonlyArray<EngineEvent>, kind: EngineEvent["kind"]) =>
  events.filter((event) => event.kind === kind).map((event) => event.owner)

describe("EngineModel scheduling", () => {
  test("gives first tokens in order of arrival", () => {
    const engine = engineOf()
    for (const owner of ["a", "b", "c"]) engine.submit(requestOf(owner, owner.charCodeAt(0) * 1000, 60, 2), 0)
    expect(ownersOf(drain(engine), "first")).toEqual(["a", "b", "c"])
  })

  test("cuts a prompt into chunks of the token budget", () => {
    const engine = engineOf()
    const request = engine.submit(requestOf("a", 0, 150, 1), 0)
    const computed: Array<number> = []
    let timeS = 0
    while (engine.hasWork) {
      timeS = engine.step(timeS).endS
      computed.push(request.computedTokens)
    }
    expect(computed).toEqual([64, 128, 150])
  })

  test("gives the first token of a prompt whose last chunk is one token", () => {
    const engine = engineOf()
    const request = engine.submit(requestOf("a", 0, 65, 3), 0)
    expect(drain(engine).map(({ kind }) => kind)).toEqual(["first", "finished"])
    expect(request.firstTokenS).toBeGreaterThan(0)
    expect(engine.counters.firstTokenS.count).toBe(1)
  })

  test("decodes go first, prefill gets the rest of the budget", () => {
    const engine = engineOf()
    engine.submit(requestOf("a", 0, 10, 5), 0)
    engine.step(0)
    const long = engine.submit(requestOf("b", 5000, 100, 1), 1)
    expect(engine.step(1).tokens).toBe(64)
    expect(long.computedTokens).toBe(63)
  })

  test("runs no more requests at once than maxNumSeqs", () => {
    const engine = engineOf({}, 2)
    for (const start of [0, 1000, 2000]) engine.submit(requestOf(`${start}`, start, 8, 3), 0)
    engine.step(0)
    expect([engine.running.length, engine.waiting.length]).toEqual([2, 1])
  })

  test("a request without output tokens ends with its prefill and counts no generated token", () => {
    const engine = engineOf()
    engine.submit(requestOf("a", 0, 20, 0), 0)
    expect(ownersOf(drain(engine), "finished")).toEqual(["a"])
    expect(engine.counters.generationTokens).toBe(0)
  })

  test("refuses a request that can never fit", () => {
    const engine = engineOf()
    expect(engine.fits(1020, 4)).toBe(true)
    expect(engine.fits(1020, 5)).toBe(false)
    expect(() => engine.submit(requestOf("a", 0, 1020, 5), 0)).toThrow(RangeError)
  })
})

describe("EngineModel time", () => {
  const constants = hardwarePresets["qwen3-32b-2xh100"]!

  test("a prefill step costs the fixed part and its chunk, attention to the cached part included", () => {
    const engine = engineOf({ ...constants, kvCapacityTokens: 33_000 })
    engine.submit({ owner: "a", promptTokens: 10_000, outputTokens: 1, chain: noChain }, 0)
    const fixedS = constants.stepFixedS + constants.weightReadS
    expect(engine.step(0).endS).toBeCloseTo(fixedS + prefillSeconds(constants, 8192, 0), 12)
    expect(engine.step(0).endS).toBeCloseTo(fixedS + prefillSeconds(constants, 1808, 8192), 12)
  })

  test("a mixed step adds decode and prefill and pays the fixed part once", () => {
    const engine = engineOf(constants)
    engine.submit(requestOf("a", 0, 100, 10), 0)
    engine.step(0)
    engine.submit(requestOf("b", 5000, 50, 10), 0)
    expect(engine.step(0).endS).toBeCloseTo(decodeStepSeconds(constants, 1, 101) + prefillSeconds(constants, 50, 0), 12)
  })

  test("stretchEndS foretells the end of a decode stretch and changes nothing", () => {
    const engine = engineOf(constants)
    engine.submit(requestOf("a", 0, 100, 40), 0)
    engine.submit(requestOf("b", 5000, 30, 25), 0)
    const startS = engine.step(0).endS
    const foretoldS = engine.stretchEndS(startS)
    expect(engine.stretchEndS(startS)).toBe(foretoldS)
    expect(engine.stepMany(startS, Infinity).endS).toBe(foretoldS)
  })

  test("stepMany stops before the first step that would start at its limit", () => {
    const engine = engineOf()
    engine.submit(requestOf("a", 0, 16, 50), 0)
    const startS = engine.step(0).endS
    const outcome = engine.stepMany(startS, startS + 0.1)
    expect(outcome.steps).toBe(9)
    expect(outcome.endS).toBeGreaterThanOrEqual(startS + 0.1)
  })
})

describe("EngineModel prefix cache", () => {
  test("a second request reuses the full blocks of the same prompt, but computes at least one token", () => {
    const engine = engineOf()
    engine.submit(requestOf("a", 0, 64, 1), 0)
    drain(engine)
    const again = engine.submit(requestOf("b", 0, 64, 1), 1)
    drain(engine, 1)
    expect(again.cachedTokens).toBe(48)
  })

  test("a second turn reuses the blocks of the first answer as well", () => {
    const engine = engineOf()
    engine.submit(requestOf("turn 1", 0, 40, 41), 0)
    drain(engine)
    const next = engine.submit(requestOf("turn 2", 0, 100, 1), 1)
    drain(engine, 1)
    // 40 prompt tokens and 40 of the 41 output tokens have KV: the last one was sampled, never computed.
    expect(next.cachedTokens).toBe(80)
  })

  test("two equal prompts in one step share blocks already", () => {
    const engine = engineOf({ batchedTokensMax: 1000 })
    engine.submit(requestOf("a", 0, 160, 1), 0)
    const twin = engine.submit(requestOf("b", 0, 160, 1), 0)
    engine.step(0)
    expect(twin.cachedTokens).toBe(144)
  })

  test("a hit is contiguous from the first block", () => {
    const engine = engineOf()
    engine.submit(requestOf("a", 0, 64, 1), 0)
    drain(engine)
    const { chain } = requestOf("b", 0, 64, 1)
    chain.low[0]! ^= 1
    const other = engine.submit({ owner: "b", promptTokens: 64, outputTokens: 1, chain }, 1)
    drain(engine, 1)
    expect(other.cachedTokens).toBe(0)
  })

  test("evicts the prompt that was freed longest ago, from its end", () => {
    // Eight usable blocks. Each prompt of 47 tokens leaves two named blocks and one that is not full.
    const engine = engineOf({ kvCapacityTokens: 9 * 16 })
    for (const start of [0, 1000]) {
      engine.submit(requestOf(`${start}`, start, 47, 1), 0)
      drain(engine)
    }
    // Takes the two blocks never used, then the first prompt's from its end: the one not full, then the second.
    engine.submit(requestOf("2000", 2000, 64, 0), 0)
    drain(engine)
    const isCached = (start: number) => {
      const { chain } = requestOf("", start, 47, 1)
      return [0, 1].map((index) => engine.pool.find(chain.low[index]!, chain.high[index]!) !== 0)
    }
    expect([isCached(0), isCached(1000)]).toEqual([[true, false], [true, true]])
  })

  test("counts queries and hits in tokens", () => {
    const engine = engineOf()
    for (const owner of ["a", "b"]) {
      engine.submit(requestOf(owner, 0, 64, 1), 0)
      drain(engine)
    }
    expect([engine.counters.prefixQueryTokens, engine.counters.prefixHitTokens]).toEqual([128, 48])
  })
})

describe("EngineModel memory", () => {
  test("preempts the request admitted last when blocks run out, and it still makes all its tokens", () => {
    const engine = engineOf({ kvCapacityTokens: 17 * 16 })
    const requests = [0, 1000, 2000].map((start) => engine.submit(requestOf(`${start}`, start, 60, 100), 0))
    const events = drain(engine)
    expect(ownersOf(events, "preempted")[0]).toBe("2000")
    expect(requests.map((request) => request.outputDone)).toEqual([100, 100, 100])
    expect(engine.counters.preemptions).toBeGreaterThan(0)
    expect(engine.counters.generationTokens).toBe(300)
  })

  test("a waiting request that does not fit holds back those behind it", () => {
    const engine = engineOf({ kvCapacityTokens: 17 * 16, batchedTokensMax: 1000 })
    engine.submit(requestOf("big", 0, 150, 20), 0)
    engine.step(0)
    engine.submit(requestOf("too big now", 1000, 150, 20), 0)
    engine.submit(requestOf("small", 2000, 10, 1), 0)
    engine.step(1)
    expect(engine.waiting.map((request) => request.owner)).toEqual(["too big now", "small"])
    expect(ownersOf(drain(engine, 1), "finished")).toEqual(["big", "small", "too big now"])
  })

  test("an abort frees the blocks at once, running or waiting", () => {
    const engine = engineOf({}, 1)
    const running = engine.submit(requestOf("a", 0, 60, 10), 0)
    const waiting = engine.submit(requestOf("b", 1000, 60, 10), 0)
    engine.step(0)
    expect([engine.abort(waiting), engine.abort(running), engine.abort(running)]).toEqual([true, true, false])
    expect([engine.kvUsage, engine.hasWork, engine.counters.abortedRequests]).toEqual([0, false, 2])
  })

  test("says nothing was done when there is nothing to do", () => {
    expect(engineOf().step(3)).toMatchObject({ steps: 0, endS: 3 })
  })
})

describe("EngineModel under any load", () => {
  const arrival = fc.record({
    start: fc.constantFrom(0, 0, 1000, 2000, 3000),
    promptTokens: fc.integer({ min: 1, max: 200 }),
    outputTokens: fc.integer({ min: 0, max: 80 }),
    gapS: fc.integer({ min: 0, max: 200 }).map((millis) => millis / 1000),
    aborted: fc.boolean()
  })
  const arrivals = fc.array(arrival, { minLength: 1, maxLength: 25 })

  /** Feeds the arrivals between steps, then drains; returns all that happened. */
  const play = (load: ReadonlyArray<Arrival>, single: boolean) => {
    const engine = engineOf({ kvCapacityTokens: 40 * 16, contextTokenS: 1e-6, decodeRequestS: 1e-4 }, 8)
    const events: Array<EngineEvent> = []
    let busyUntilS = 0
    let arrivalS = 0
    const advance = (untilS: number) => {
      while (engine.hasWork && busyUntilS < untilS) {
        const outcome = single ? engine.step(busyUntilS) : engine.stepMany(busyUntilS, untilS)
        busyUntilS = outcome.endS
        for (const request of outcome.firstTokens) events.push({ kind: "first", owner: request.owner, atS: busyUntilS })
        for (const request of outcome.finished) events.push({ kind: "finished", owner: request.owner, atS: busyUntilS })
        for (const request of outcome.preempted) {
          events.push({ kind: "preempted", owner: request.owner, atS: busyUntilS })
        }
      }
    }
    const requests = load.map((item, index) => {
      arrivalS += item.gapS
      advance(arrivalS)
      busyUntilS = Math.max(busyUntilS, arrivalS)
      return engine.submit(requestOf(`${index}`, item.start, item.promptTokens, item.outputTokens), arrivalS)
    })
    for (const [index, item] of load.entries()) if (item.aborted) engine.abort(requests[index]!)
    advance(Infinity)
    return { engine, events, requests }
  }

  test("every request ends once, makes exactly its tokens, and all blocks come back", () => {
    fc.assert(fc.property(arrivals, (load) => {
      const { engine, events, requests } = play(load, false)
      expect(engine.pool.freeCount).toBe(engine.pool.usableBlocks)
      for (const request of requests) {
        const ends = events.filter((event) => event.kind === "finished" && event.owner === request.owner).length
        expect(ends).toBe(request.state === "finished" ? 1 : 0)
        if (request.state === "finished") expect(request.outputDone).toBe(request.outputTokens)
        else expect(request.state).toBe("aborted")
      }
    }))
  })

  test("stepMany gives the same history as single steps, to the bit", () => {
    fc.assert(fc.property(arrivals, (load) => {
      const jumped = play(load, false)
      const stepped = play(load, true)
      expect(jumped.events).toEqual(stepped.events)
      expect(jumped.requests.map((request) => request.cachedTokens))
        .toEqual(stepped.requests.map((request) => request.cachedTokens))
      expect(jumped.engine.counters.steps).toBe(stepped.engine.counters.steps)
      expect(jumped.engine.counters.interTokenS.count).toBe(stepped.engine.counters.interTokenS.count)
      expect(jumped.engine.pool.evictions).toBe(stepped.engine.pool.evictions)
    }))
  })
})
