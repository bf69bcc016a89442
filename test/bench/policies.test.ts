import { describe, expect, test } from "bun:test"
import { appendFileSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { flagValues } from "../../bench/flags.ts"
import type { Job } from "../../bench/policies/Job.ts"
import type { Means, PointMeans, PointResult, PolicyResult } from "../../bench/policies/PointResult.ts"
import { keyOf, points, selectPoints } from "../../bench/policies/points.ts"
import { RunLog } from "../../bench/policies/RunLog.ts"
import { cliffsOf, geomeans } from "../../bench/policies/score.ts"
import { flags, settingsOf } from "../../bench/policies/settings.ts"
import { verdictsOn } from "../../bench/policies/verdicts.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

const resultOf = (policy: string, ttftMean: number, sloShare: number): PolicyResult => ({
  policy,
  requests: 100,
  refused: 0,
  ttftMean,
  ttftP50: ttftMean,
  ttftP99: 2 * ttftMean,
  tpotMean: ttftMean / 10,
  e2eMean: 10 * ttftMean,
  outputTokensPerSecond: 1000 / ttftMean,
  hitRatio: 0.5,
  sloShare
})

const point = (workload: string, ...results: ReadonlyArray<PolicyResult>): PointResult => ({
  workload,
  load: "1",
  fleet: "even",
  seed: 11,
  pods: 8,
  results
})

const meansOf = (key: string, ...results: ReadonlyArray<PolicyResult>): PointMeans => ({
  key,
  group: "main",
  fleet: "even",
  byPolicy: new Map(results.map((result): readonly [string, Means] => [result.policy, result]))
})

describe("geometric means", () => {
  test("are of ratios to the blend, point by point", () => {
    const found = geomeans([
      point("a", resultOf("marginal-cost", 1, 0.8), resultOf("llm-d-blend-lru", 2, 0.4)),
      point("b", resultOf("marginal-cost", 8, 0.5), resultOf("llm-d-blend-lru", 4, 0.5))
    ])
    expect(found["marginal-cost"]?.ttftMean).toBeCloseTo(1, 9)
    expect(found["marginal-cost"]?.sloShare).toBeCloseTo(Math.sqrt(2), 9)
    expect(found["llm-d-blend-lru"]?.tpotMean).toBe(1)
  })

  test("take an SLO share of nothing for a hundredth", () => {
    const found = geomeans([point("a", resultOf("marginal-cost", 1, 0.02), resultOf("llm-d-blend-lru", 1, 0))])
    expect(found["marginal-cost"]?.sloShare).toBeCloseTo(2, 9)
  })
})

describe("a cliff", () => {
  test.each(
    [
      ["is more than 5 % behind on TTFT", resultOf("marginal-cost", 1.06, 0.9), ["ttftMean"]],
      ["is not 4 % behind", resultOf("marginal-cost", 1.04, 0.9), []],
      ["is not slower with more requests inside the SLO", resultOf("marginal-cost", 1.2, 0.91), []],
      ["is more than 5 % behind on the SLO share", resultOf("marginal-cost", 1, 0.8), ["sloShare"]],
      ["is not fewer inside with a better TTFT", resultOf("marginal-cost", 0.9, 0.8), []],
      ["is behind on both", resultOf("marginal-cost", 2, 0.1), ["ttftMean", "sloShare"]]
    ] as const
  )("%s", (_, own, measures) => {
    const rivals = [resultOf("chwbl", 1, 0.9), resultOf("random", 3, 0.2), resultOf("bound", 0.1, 1)]
    expect(cliffsOf([meansOf("a", own, ...rivals)], 0.05).map(({ measure }) => measure)).toEqual([...measures])
  })
})

describe("verdicts", () => {
  test("say by how much a target is missed", () => {
    const results = [point("zipf", resultOf("marginal-cost", 0.77, 0.9), resultOf("llm-d-blend-lru", 1, 0.9))]
    const [ttft, p99] = verdictsOn([], results)
    expect(ttft).toMatchObject({ met: false, found: "0.770, misses by 10 %" })
    expect(p99).toMatchObject({ met: false, found: "0.770, misses by 16.7 %" })
  })

  test("judge a fleet over all of its workloads together", () => {
    const on = (key: string, own: number, rival: number): PointMeans => ({
      ...meansOf(key, resultOf("marginal-cost", own, 1), resultOf("chwbl", rival, 1), resultOf("random", 9, 0.5)),
      group: "fleets",
      fleet: "lost-pod"
    })
    const verdictWith = (own: number) => verdictsOn([on("a", own, 1), on("b", 1, 4)], [])
    expect(verdictWith(3.9)).toMatchObject([{ met: true }])
    expect(verdictWith(4.1)).toMatchObject([{ met: false }])
    expect(verdictWith(4.1)[0]?.found).toContain("(chwbl)")
  })
})

test("a log of runs knows what was run and passes over a line that was cut short", () => {
  const directory = mkdtempSync(join(tmpdir(), "warmroute-"))
  const path = join(directory, "runs.jsonl")
  const [point] = selectPoints(["zipf:30"])
  const job = (policy: string, seed: number): Job => ({ point: point!, policy, seed, pods: 8, traceFile: undefined })
  try {
    const log = new RunLog(path)
    log.write(job("random", 1), resultOf("random", 1, 1))
    appendFileSync(path, `{"run":"zipf:30  chwbl 1","result":{"policy":"chw`)
    const again = new RunLog(path)
    expect(again.resultOf(job("random", 1))).toEqual(resultOf("random", 1, 1))
    expect(again.resultOf(job("random", 2))).toBeUndefined()
    expect(again.resultOf(job("chwbl", 1))).toBeUndefined()
    again.write(job("chwbl", 1), resultOf("chwbl", 2, 1))
    expect(new RunLog(path).resultOf(job("chwbl", 1))).toEqual(resultOf("chwbl", 2, 1))
  } finally {
    rmSync(directory, { recursive: true })
  }
})

describe("options", () => {
  const settings = (...args: ReadonlyArray<string>) =>
    settingsOf({ quick: false, progress: () => {}, values: flagValues(args, flags) })

  test("choose points by key, workload, fleet or group", () => {
    const keys = (...words: ReadonlyArray<string>) => selectPoints(words).map(keyOf)
    expect(keys("zipf:30", "ladder:1@kv-285k")).toEqual(["zipf:30", "ladder:1@kv-285k"])
    expect(keys("lost-pod").every((key) => key.endsWith("@lost-pod"))).toBe(true)
    expect(keys("kv-edge")).toHaveLength(3)
    expect(keys("main")).toContain("claude-code:9")
  })

  test("report on seeds that are not for tuning, every policy, every point", () => {
    const all = settings()
    expect(all.seeds).toEqual([11, 12, 13])
    expect(all.points).toEqual(points)
    expect(all.policies).toEqual(expect.arrayContaining(["marginal-cost", "llm-d-2026-08", "bound"]))
    expect(all.policies).not.toContain("weighted")
  })

  test.each([
    [["--only", "zipf:31"], "no point zipf:31; there are: ladder:1"],
    [["--policies", "best"], "no policy best; there are: marginal-cost"],
    [["--seeds", "1,x"], `--seeds has "x" where a whole number belongs`],
    [["--jobs", ""], `--jobs has "" where a whole number belongs`],
    [["--seed", "1"], "Unknown option '--seed'; there are: --only, --policies, --seeds"],
    [["--seeds"], "Option '--seeds <value>' argument missing; there are: --only"]
  ])("%p are refused with what there is", (args, reason) => {
    expect(() => settings(...args)).toThrow(reason)
  })

  test("name each point once", () => {
    const keys = points.map(keyOf)
    expect(new Set(keys).size).toBe(keys.length)
  })
})

test("bun run bench policies --json prints points, means and what was left out", async () => {
  const only = ["--only", "b2b:12,claude-code:3", "--policies", "marginal-cost,llm-d-blend-lru"]
  const bench = Bun.spawn(
    [process.execPath, "bench/main.ts", "policies", "--json", "--quick", "--jobs", "2", ...only],
    {
      cwd: root,
      stdout: "pipe",
      stderr: "pipe"
    }
  )
  const [stdout, stderr, status] = await Promise.all([
    new Response(bench.stdout).text(),
    new Response(bench.stderr).text(),
    bench.exited
  ])
  expect(status).toBe(0)
  expect(stderr).toContain("claude-code:3 is left out: it needs weka-claude-code-100.jsonl")
  const report = JSON.parse(stdout)
  expect(report.points).toMatchObject([{ workload: "b2b", load: "12", fleet: "even", seed: 11, pods: 8 }])
  expect(report.points[0].results.map(({ policy }: { policy: string }) => policy)).toEqual([
    "marginal-cost",
    "llm-d-blend-lru"
  ])
  expect(report.geomean["llm-d-blend-lru"]).toEqual({ ttftMean: 1, ttftP99: 1, tpotMean: 1, e2eMean: 1, sloShare: 1 })
  expect(report.skipped).toHaveLength(1)
}, 60_000)
