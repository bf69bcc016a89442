import type { FleetPoint } from "../../simulator/plan/planFleets.ts"
import { escapeText, type LineChart, lineChart, markShape, SERIES_COLOURS } from "./lineChart.ts"
import { pageStyle } from "./pageStyle.ts"
import { hardwareText, loadText, objectiveText, type PlanReport, remarks, savingText } from "./PlanReport.ts"
import { answerColumns } from "./planText.ts"
import { counted, shownCount, shownSeconds, shownShare } from "./shownNumbers.ts"

/** A page with the answers, the curves and all simulated fleets. Nothing is loaded from anywhere, nothing is run. */
export const planPage = (report: PlanReport): string =>
  `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Fleet plan: ${escapeText(report.workload)} on ${escapeText(report.hardware)}</title>
<style>${pageStyle}</style>
</head>
<body>
<main>
<h1>How many pods hold ${escapeText(objectiveText(report))}?</h1>
<dl>
<dt>Load</dt><dd>${escapeText(loadText(report))}</dd>
<dt>Hardware</dt><dd>${escapeText(hardwareText(report))}</dd>
</dl>
${answerCards(report)}
${remarks(report).map((remark) => `<p class="remark">${escapeText(remark)}</p>`).join("\n")}
<h2>Over the number of pods</h2>
${legend(report)}
<div class="charts">
${chartsOf(report).map(([title, chart]) => figure(title, chart)).join("\n")}
</div>
<h2>Answers</h2>
${answerTable(report)}
<h2>All simulated fleets</h2>
${pointTable(report)}
<footer>Simulated by warmroute in virtual time, with the scheduler that serves. Every policy got the same requests, and
caches were empty at the start. An answer is the smallest fleet from which on all larger ones that were tried hold.
</footer>
</main>
</body>
</html>
`

const answerCards = (report: PlanReport): string =>
  `<ul class="cards">${
    report.policies.map((plan, index) => {
      const { pods, policy } = plan
      const answer = pods === undefined ? "none" : counted(pods, "pod")
      const gpus = pods === undefined ? `of up to ${report.podsMax}` : counted(pods * report.gpusPerPod, "GPU")
      const saving = savingText(report, plan)
      return `<li class="s${index % SERIES_COLOURS}"><b>${
        escapeText(policy)
      }</b><strong>${answer}</strong><span>${gpus}${saving === "" ? "" : `, ${escapeText(saving)}`}</span></li>`
    }).join("\n")
  }</ul>`

const legend = ({ policies }: PlanReport): string =>
  `<ul class="legend">${
    policies.map(({ policy }, index) =>
      `<li class="series s${
        index % SERIES_COLOURS
      }"><svg viewBox="0 0 34 12" aria-hidden="true"><polyline points="0,6 34,6"/>${markShape(index, 17, 6)}</svg>${
        escapeText(policy)
      }</li>`
    ).join("")
  }</ul>`

const chartsOf = (report: PlanReport): ReadonlyArray<readonly [string, LineChart]> => {
  const { share, slo } = report
  const shared = (what: string, yOf: (point: FleetPoint) => number) => ({
    description: `${what} over the number of pods, a line for each policy; the numbers are in the table below`,
    xLabel: "pods",
    series: report.policies.map(({ points, policy }) => ({
      name: policy,
      points: points.map((point) => [point.pods, yOf(point)] as const)
    }))
  })
  const ttft = (what: string, yOf: (point: FleetPoint) => number): LineChart => ({
    ...shared(what, yOf),
    yLabel: "seconds, logarithmic",
    yScale: "log",
    yMax: undefined,
    showY: shownSeconds,
    level: Number.isFinite(slo.ttftS)
      ? { y: slo.ttftS, label: `objective for a request: ${shownSeconds(slo.ttftS)}` }
      : undefined
  })
  return [
    ["Share of requests inside the objective", {
      ...shared("Share of requests inside the objective", ({ summary }) => summary.sloShare),
      yLabel: "share of requests",
      yScale: "linear",
      yMax: 1,
      showY: (y) => `${Math.round(y * 1000) / 10} %`,
      level: { y: share, label: `required: ${shownShare(share)}` }
    }],
    ["Mean time to first token", ttft("Mean time to first token", ({ summary }) => summary.ttftMean)],
    ["P99 of the time to first token", ttft("P99 of the time to first token", ({ summary }) => summary.ttftP99)],
    ["Output tokens a second", {
      ...shared("Output tokens a second of the whole fleet", ({ summary }) => summary.outputTokensPerSecond),
      yLabel: "tokens/s, whole fleet",
      yScale: "linear",
      yMax: undefined,
      showY: shownCount,
      level: undefined
    }]
  ]
}

const figure = (title: string, chart: LineChart): string =>
  `<figure><figcaption>${escapeText(title)}</figcaption>${lineChart(chart)}</figure>`

const answerTable = (report: PlanReport): string =>
  table(
    answerColumns.map(([title]) => title),
    report.policies.map((plan) => answerColumns.map(([, show]) => show(plan, report)))
  )

const pointTable = ({ gpusPerPod, policies }: PlanReport): string =>
  table(
    [
      "policy",
      "pods",
      "GPUs",
      "holds",
      "inside SLO",
      "TTFT mean",
      "TTFT P50",
      "TTFT P99",
      "TPOT mean",
      "output tok/s",
      "hit"
    ],
    policies.flatMap(({ points, policy }) =>
      points.map(({ holds, pods, summary }) => [
        policy,
        `${pods}`,
        `${pods * gpusPerPod}`,
        holds ? "yes" : "no",
        shownShare(summary.sloShare),
        shownSeconds(summary.ttftMean),
        shownSeconds(summary.ttftP50),
        shownSeconds(summary.ttftP99),
        shownSeconds(summary.tpotMean),
        shownCount(summary.outputTokensPerSecond),
        shownShare(summary.hitRatio)
      ])
    )
  )

const table = (titles: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const cells = (row: ReadonlyArray<string>) => row.map((cell) => `<td>${escapeText(cell)}</td>`).join("")
  return `<div class="scroll"><table><thead><tr>${
    titles.map((title) => `<th scope="col">${escapeText(title)}</th>`).join("")
  }</tr></thead><tbody>${rows.map((row) => `<tr>${cells(row)}</tr>`).join("\n")}</tbody></table></div>`
}
