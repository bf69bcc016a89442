import type { PolicyPlan } from "../../simulator/plan/planFleets.ts"
import { hardwareText, loadText, objectiveText, type PlanReport, remarks, savingText, shownOf } from "./PlanReport.ts"
import { shownCount, shownSeconds, shownShare } from "./shownNumbers.ts"
import { textPlot } from "./textPlot.ts"

type Cell = (plan: PolicyPlan, report: PlanReport) => string

/** Titles and cells of the table of answers; where none holds, the row is of what came nearest. */
export const answerColumns: ReadonlyArray<readonly [string, Cell]> = [
  ["policy", ({ policy }) => policy],
  ["pods", ({ pods }) => pods === undefined ? "none" : `${pods}`],
  ["GPUs", ({ pods }, { gpusPerPod }) => pods === undefined ? "none" : `${pods * gpusPerPod}`],
  ["inside SLO", (plan) => shownShare(shownOf(plan).summary.sloShare)],
  ["TTFT mean", (plan) => shownSeconds(shownOf(plan).summary.ttftMean)],
  ["TTFT P99", (plan) => shownSeconds(shownOf(plan).summary.ttftP99)],
  ["TPOT mean", (plan) => shownSeconds(shownOf(plan).summary.tpotMean)],
  ["output tok/s", (plan) => shownCount(shownOf(plan).summary.outputTokensPerSecond)],
  ["hit", (plan) => shownShare(shownOf(plan).summary.hitRatio)],
  ["saves", (plan, report) => savingText(report, plan)]
]

/** The answer for people: objective and load, a row for each policy, what to know, and the curves of the share. */
export const planText = (report: PlanReport): string => {
  const notes = remarks(report)
  return [
    `objective  ${objectiveText(report)}`,
    `load       ${loadText(report)}`,
    `hardware   ${hardwareText(report)}`,
    "",
    ...table(report),
    ...(notes.length === 0 ? [] : ["", ...notes]),
    "",
    textPlot({
      title: "share of requests inside the objective",
      xLabel: "pods",
      series: report.policies.map(({ points, policy }) => ({
        name: policy,
        points: points.map(({ pods, summary }) => [pods, summary.sloShare] as const)
      })),
      yMax: 1,
      showY: (share) => `${Math.round(share * 1000) / 10} %`,
      level: report.share
    })
  ].join("\n")
}

const table = (report: PlanReport): ReadonlyArray<string> => {
  const rows = [
    answerColumns.map(([title]) => title),
    ...report.policies.map((plan) => answerColumns.map(([, show]) => show(plan, report)))
  ]
  const widths = answerColumns.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const isText = (column: number) => column === 0 || column === answerColumns.length - 1
  return rows.map((row) =>
    row.map((cell, column) => isText(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)).join("  ")
      .trimEnd()
  )
}
