import { describe, expect, test } from "bun:test"
import { Either } from "effect"
import { lineChart } from "../../../src/cli/plan/lineChart.ts"
import { planPage } from "../../../src/cli/plan/planPage.ts"
import type { PlanReport } from "../../../src/cli/plan/PlanReport.ts"
import { planText } from "../../../src/cli/plan/planText.ts"
import { parseSlo, sloWords } from "../../../src/cli/plan/sloText.ts"
import { textPlot } from "../../../src/cli/plan/textPlot.ts"
import { hardwarePresets } from "../../../src/core/hardwarePresets.ts"
import type { PolicyPlan } from "../../../src/simulator/plan/planFleets.ts"

/** A policy whose share inside the objective is given for 1, 2, 3 ... pods. */
const planOf = (
  policy: string,
  pods: number | undefined,
  shares: ReadonlyArray<number>,
  lucky: ReadonlyArray<number> = []
): PolicyPlan => ({
  policy,
  pods,
  lucky,
  points: shares.map((sloShare, index) => ({
    pods: index + 1,
    holds: sloShare >= 0.9,
    summary: {
      requests: 990,
      refused: 10,
      ttftMean: 0.4,
      ttftP50: 0.2,
      ttftP99: 3.25,
      tpotMean: 0.0215,
      e2eMean: 5,
      outputTokensPerSecond: 1234.5,
      hitRatio: 0.5,
      sloShare
    }
  }))
})

const reportOf = (...policies: ReadonlyArray<PolicyPlan>): PlanReport => ({
  workload: "mooncake",
  trace: "<t>.jsonl",
  load: 1,
  loadUnit: "times as fast as recorded",
  durationS: undefined,
  seed: 1,
  hardware: "qwen3-32b-2xh100",
  constants: hardwarePresets["qwen3-32b-2xh100"]!,
  gpusPerPod: 2,
  slo: { ttftS: 2, tpotS: 0.05 },
  share: 0.9,
  podsMax: 4,
  policies
})

describe("an objective", () => {
  test("is read with its units, in any order, and a part may be missing", () => {
    expect(parseSlo("ttft=2s,tpot=50ms")).toEqual(Either.right({ ttftS: 2, tpotS: 0.05 }))
    expect(parseSlo(" tpot = 40 millis , ttft=1.5s")).toEqual(Either.right({ ttftS: 1.5, tpotS: 0.04 }))
    expect(parseSlo("ttft=2s")).toEqual(Either.right({ ttftS: 2, tpotS: Number.POSITIVE_INFINITY }))
  })

  test.each([
    ["", `is "": write it as ttft=2s,tpot=50ms`],
    ["ttft", `has "ttft": write it as`],
    ["ttft=2s=3s", `has "ttft=2s=3s"`],
    ["tftt=2s", `knows no "tftt"; did you mean ttft?`],
    ["ttft=2", "has ttft=2, but that is no duration such as 2s"],
    ["tpot=fast", "has tpot=fast, but that is no duration such as 50ms"],
    ["ttft=2s,ttft=3s", "says ttft twice"]
  ])("%j is refused with the reason", (text, reason) => {
    expect(Either.getOrUndefined(Either.flip(parseSlo(text)))).toContain(reason)
  })

  test("is said without the part that is no condition", () => {
    expect(sloWords({ ttftS: 2, tpotS: 0.05 })).toBe("TTFT ≤ 2 s and mean TPOT ≤ 50 ms")
    expect(sloWords({ ttftS: Number.POSITIVE_INFINITY, tpotS: 0.05 })).toBe("mean TPOT ≤ 50 ms")
  })
})

describe("the text of a plan", () => {
  test("says what each policy saves against round robin", () => {
    const text = planText(reportOf(
      planOf("marginal-cost", 1, [0.95, 0.96, 0.97]),
      planOf("random", 4, [0.1, 0.2, 0.3, 0.9]),
      planOf("round-robin", 3, [0.2, 0.5, 0.92])
    ))
    expect(text).toMatch(/^marginal-cost +1 +2 .*2 pods \(4 GPUs, 67 %\) fewer than round-robin$/m)
    expect(text).toMatch(/^random +4 +8 .*1 pod \(2 GPUs, 33 %\) more than round-robin$/m)
    expect(text).toMatch(/^round-robin +3 +6 +92\.0 % +400 ms +3\.25 s +21\.5 ms +1,235 +50\.0 %$/m)
  })

  test("says how far the best fleet got where none holds, and what fits no pod", () => {
    const text = planText(reportOf(planOf("marginal-cost", undefined, [0.2, 0.8, 0.7, 0.75])))
    expect(text).toContain("marginal-cost: no fleet of up to 4 pods holds it. The best, 2 pods, has 80.0 % of requests")
    expect(text).toContain("10 requests of 1,000 fit no pod: it has 335,000 tokens of KV.")
  })

  test("names the fleets that held by luck", () => {
    const text = planText(reportOf(planOf("marginal-cost", 4, [0.1, 0.95, 0.5, 0.95], [2])))
    expect(text).toContain("marginal-cost: 2 pods held it too, but a larger fleet did not")
  })

  test("draws each point where its axes say", () => {
    const plot = textPlot({
      title: "shares",
      xLabel: "pods",
      series: [{ name: "up", points: [[1, 0], [3, 1]] }, { name: "level", points: [[1, 0.5], [3, 0.5]] }],
      yMax: 1,
      showY: (y) => `${y * 100} %`,
      level: 0.75
    })
    const [title, ...rows] = plot.split("\n")
    expect(title).toBe("shares")
    const cells = rows.slice(0, 13).map((row) => row.slice(row.indexOf("|") + 1))
    expect(cells[0]?.trim()).toMatch(/^\*+$/)
    expect(cells[0]).toHaveLength(64)
    expect(cells[12]).toMatch(/^\*+$/)
    expect(cells[6]).toMatch(/^o+=+o+$/)
    expect(cells[3]).toMatch(/^\.+\*+\.+$/)
    expect(rows[0]).toStartWith("100 % |")
    expect(rows[14]).toMatch(/^ +1 +2 +3 {2}pods$/)
  })
})

describe("the page of a plan", () => {
  const page = planPage(reportOf(planOf("marginal-cost", 1, [0.95, 0.96]), planOf("round-robin", 2, [0.2, 0.92])))

  test("loads and runs nothing", () => {
    expect(page).not.toMatch(/<script|<link|<img|https?:|url\(|@import/)
    expect(page).toContain("default-src 'none'")
  })

  test("has the four curves, with a mark for every fleet, and a row of numbers for each", () => {
    const figures = [...page.matchAll(/<figure>.*?<\/figure>/gs)].map(([figure]) => figure)
    expect(figures.map((figure) => /<figcaption>(.*?)</.exec(figure)?.[1])).toEqual([
      "Share of requests inside the objective",
      "Mean time to first token",
      "P99 of the time to first token",
      "Output tokens a second"
    ])
    for (const figure of figures) expect([...figure.matchAll(/<title>(marginal-cost|round-robin), /g)]).toHaveLength(4)
    expect([...page.matchAll(/<tr><td>(marginal-cost|round-robin)<\/td><td>\d<\/td>/g)]).toHaveLength(2 + 4)
  })

  test("shows names from outside as text", () => {
    expect(page).toContain("&lt;t&gt;.jsonl")
    expect(page).not.toContain("<t>")
  })
})

test("a chart puts powers of ten at equal distances on a logarithmic scale", () => {
  const svg = lineChart({
    description: "times",
    xLabel: "pods",
    yLabel: "seconds",
    series: [{ name: "policy", points: [[1, 100], [2, 10], [3, 1]] }],
    yScale: "log",
    yMax: undefined,
    showY: (y) => `${y} s`,
    level: undefined
  })
  const [, line = ""] = /<polyline points="([^"]+)"/.exec(svg) ?? []
  const [first, second, third] = line.split(" ").map((point) => Number(point.split(",")[1]))
  expect(second! - first!).toBeCloseTo(third! - second!, 0)
  expect(second!).toBeGreaterThan(first!)
})
