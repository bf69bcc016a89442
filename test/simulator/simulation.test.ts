import { describe, expect, test } from "bun:test"
import { Either } from "effect"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import type { Segment } from "../../src/simulator/promptChain.ts"
import { defaultPath, makeRun, type RunOptions, runPolicy } from "../../src/simulator/runPolicy.ts"
import type { PlannedRequest, Workload } from "../../src/simulator/Workload.ts"
import { workloads } from "../../src/simulator/workloads/catalog.ts"
import { session } from "../../src/simulator/workloads/session.ts"

const constants = hardwarePresets["qwen3-32b-2xh100"]!

const workloadOf = (name: string, load: number, durationS: number, seed = 3): Workload =>
  workloads.get(name)!.make({ load, seed, durationS })

const optionsOf = (workload: Workload, policy: string, more: Partial<RunOptions> = {}): RunOptions => ({
  workload,
  policy: { type: policy },
  seed: 3,
  pods: 4,
  constants,
  path: defaultPath,
  ...more
})

const summaryOf = (options: RunOptions) => Either.getOrThrow(runPolicy(options))

/** One stage with exactly these requests. */
const only = (...requests: ReadonlyArray<PlannedRequest>): Workload => ({
  name: "only",
  pauseS: 0,
  stages: [() => ({ arrivals: requests.values(), warmUpS: 0, lastAskS: undefined })]
})

const asked = (afterS: number, prompt: ReadonlyArray<Segment>, outputTokens: number): PlannedRequest => ({
  afterS,
  prompt,
  output: { id: 1_000_000, tokens: outputTokens },
  outputTokensMax: undefined,
  sessionHash: 0
})

describe("a run", () => {
  test.each([...workloads.keys()])("of %s gives the same result for the same seed", (name) => {
    const { defaultLoad } = workloads.get(name)!
    const once = () => summaryOf(optionsOf(workloadOf(name, defaultLoad / 2, 30), "marginal-cost"))
    const first = once()
    expect(first.requests).toBeGreaterThan(0)
    expect(JSON.stringify(once())).toBe(JSON.stringify(first))
  })

  test("of another seed gives another result", () => {
    const at = (seed: number) => summaryOf(optionsOf(workloadOf("zipf", 10, 30, seed), "marginal-cost", { seed }))
    expect(at(4)).not.toEqual(at(5))
  })

  test.each(["round-robin", "llm-d-blend", "marginal-cost"])(
    "with %s ends each request once and leaves nothing behind",
    (policy) => {
      // Little KV, so that requests wait for it and are preempted; some prompts never fit.
      const small = { ...constants, kvCapacityTokens: 60_000 }
      const workload = workloadOf("mixed", 12, 60)
      const { pods, scheduler, simulation } = Either.getOrThrow(
        makeRun(optionsOf(workload, policy, { constants: small }))
      )
      simulation.run()
      const finished = pods.reduce((sum, pod) => sum + pod.engine.counters.finishedRequests, 0)
      expect(pods.some((pod) => pod.engine.counters.preemptions > 0)).toBe(true)
      expect(simulation.measurements.refused).toBeGreaterThan(0)
      expect(simulation.ended).toBe(finished + simulation.measurements.refused)
      expect(scheduler.openRequests).toBe(0)
      for (const [row, pod] of pods.entries()) {
        expect([pod.engine.kvUsage, pod.engine.hasWork]).toEqual([0, false])
        const {
          decoding,
          decodingTokens,
          prefillAheadS,
          prefillAheadTokens,
          prefilling,
          prefillingTokens,
          usedTokens
        } = scheduler.table
        const columns = [
          decoding,
          decodingTokens,
          prefillAheadS,
          prefillAheadTokens,
          prefilling,
          prefillingTokens,
          usedTokens
        ]
        expect(columns.map((column) => column[row])).toEqual(columns.map(() => 0))
      }
    }
  )

  test("of the ladder, shortened, finds round robin far behind what knows the caches", () => {
    const run = (policy: string) => summaryOf(optionsOf(workloadOf("ladder", 1, 120), policy, { pods: 8 }))
    const blind = run("round-robin")
    for (const policy of ["llm-d-blend", "marginal-cost"]) {
      const aware = run(policy)
      expect(aware.ttftMean).toBeLessThan(blind.ttftMean / 4)
      expect(aware.hitRatio).toBeGreaterThan(blind.hitRatio + 0.4)
      expect(aware.outputTokensPerSecond).toBeGreaterThan(blind.outputTokensPerSecond)
    }
  })

  test("asks every policy the same requests", () => {
    const tokensWith = (policy: string) => {
      const { pods, simulation } = Either.getOrThrow(makeRun(optionsOf(workloadOf("burst", 10, 60), policy)))
      simulation.run()
      const sum = (of: (pod: (typeof pods)[number]) => number) => pods.reduce((total, pod) => total + of(pod), 0)
      return [
        simulation.ended,
        sum((pod) => pod.engine.counters.promptTokens),
        sum((pod) => pod.engine.counters.generationTokens)
      ]
    }
    expect(tokensWith("random")).toEqual(tokensWith("marginal-cost"))
  })

  test("says what is wrong with a policy's name", () => {
    const run = runPolicy(optionsOf(only(), "no-such-policy"))
    expect(Either.isLeft(run) ? run.left : "").toContain(`no policy "no-such-policy"`)
  })
})

describe("one request alone", () => {
  const path = { toPodS: 0.04, fromPodS: 0.02, scrapeIntervalS: 1, scrapeAgeS: 0.1 }
  const { attentionPairS, prefillTokenS, stepFixedS, weightReadS } = constants
  const prefillS = 1000 * prefillTokenS + attentionPairS * 1000 * 500 + stepFixedS + weightReadS

  test("waits for its way, its prefill and one step", () => {
    const summary = summaryOf(optionsOf(only(asked(2, [{ id: 1, tokens: 1000 }], 1)), "marginal-cost", { path }))
    expect(summary.ttftMean).toBeCloseTo(path.toPodS + prefillS + path.fromPodS, 9)
    expect(summary.e2eMean).toBeCloseTo(summary.ttftMean, 9)
    expect(summary).toMatchObject({ requests: 1, refused: 0, hitRatio: 0, sloShare: 1 })
  })

  test("finds in the cache what the turn before left there, its answer included", () => {
    const conversation = session(0, 1, [{ id: 1, tokens: 800 }], [
      { question: { id: 2, tokens: 160 }, answer: { id: 3, tokens: 321 }, thinkS: 0 },
      { question: { id: 4, tokens: 160 }, answer: { id: 5, tokens: 10 }, thinkS: 5 }
    ])
    const { pods, simulation } = Either.getOrThrow(makeRun(optionsOf(only(conversation), "marginal-cost", { path })))
    simulation.run()
    // The last answered token is never computed, so the block that it would fill is not cached.
    const cached = pods.reduce((sum, pod) => sum + pod.engine.counters.promptTokensCached, 0)
    expect(cached).toBe(800 + 160 + 320)
    expect(simulation.measurements.summary().requests).toBe(2)
    expect(simulation.nowS).toBeGreaterThan(5)
  })
})

describe("a closed loop", () => {
  test("has no more requests open than users, and asks until its time is over", () => {
    const { scheduler, simulation } = Either.getOrThrow(makeRun(optionsOf(workloadOf("reason", 20, 300), "random")))
    let most = 0
    const end = scheduler.end.bind(scheduler)
    scheduler.end = (...args) => {
      most = Math.max(most, scheduler.openRequests)
      end(...args)
    }
    simulation.run()
    expect(most).toBe(20)
    expect(simulation.ended).toBeGreaterThan(40)
    expect(simulation.nowS).toBeGreaterThan(300)
  })
})

describe("scraped metrics", () => {
  test("reach the scheduler as late as they are configured", () => {
    const path = { toPodS: 0, fromPodS: 0, scrapeIntervalS: 0.5, scrapeAgeS: 2 }
    const requests = [0, 0.1].map((afterS) => asked(afterS, [{ id: 1, tokens: 100 }], 400))
    const { scheduler, simulation } = Either.getOrThrow(
      makeRun(optionsOf(only(...requests), "random", { path, pods: 1 }))
    )
    const told: Array<readonly [number, number]> = []
    const observe = scheduler.observe.bind(scheduler)
    scheduler.observe = (id, accepting, running, waiting, kvUsage, nowS) => {
      told.push([nowS, running])
      observe(id, accepting, running, waiting, kvUsage, nowS)
    }
    simulation.run()
    expect(told.slice(0, 3)).toEqual([[2, 0], [2.5, 2], [3, 2]])
  })
})
