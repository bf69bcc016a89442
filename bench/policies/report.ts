import { boundName } from "../../src/simulator/bound.ts"
import type { Means, PointMeans } from "./PointResult.ts"
import { type Group, points } from "./points.ts"
import { meansOver, type PolicyReport } from "./PolicyReport.ts"
import { baseline, bestRival, type Measure, measures, ours } from "./score.ts"

const groupTitles: Readonly<Record<Group, string>> = {
  main: "Workloads",
  "kv-edge": "Edge of KV capacity",
  fleets: "Fleets that are not even",
  gateways: "Several gateways"
}

/** The whole report as Markdown. */
export const reportMarkdown = (report: PolicyReport): string =>
  [
    "Targets:",
    "",
    ...table(
      ["target", "", "found"],
      report.verdicts.map(({ found, met, target }) => [target, met ? "met" : "**missed**", found])
    ),
    "",
    `Geometric means against \`${baseline}\` over the workloads (below 1 is better, for the SLO share above):`,
    "",
    ...geomeanTable(report),
    ...pointTables(report),
    "",
    ...cliffLines(report),
    ...report.skipped.map(({ point, why }) => `Not run: ${point}; ${why}.`)
  ].join("\n")

const pointTables = (report: PolicyReport): ReadonlyArray<string> => {
  const byGroup = Map.groupBy(meansOver(points, report.points), ({ group }) => group)
  return [...byGroup].flatMap(([group, means]) => ["", `${groupTitles[group]}:`, ""].concat(pointTable(means)))
}

const measureTitles: Readonly<Record<Measure, string>> = {
  ttftMean: "TTFT",
  ttftP99: "P99 TTFT",
  tpotMean: "TPOT",
  e2eMean: "end to end",
  sloShare: "inside SLO"
}

const geomeanTable = ({ geomean }: PolicyReport): ReadonlyArray<string> =>
  table(
    ["policy", ...measures.map((measure) => measureTitles[measure])],
    Object.entries(geomean).sort(([, one], [, other]) => one.ttftMean - other.ttftMean).map(([policy, values]) =>
      [policy === ours ? `**${policy}**` : policy].concat(measures.map((measure) => values[measure].toFixed(2)))
    )
  )

const pointTable = (rows: ReadonlyArray<PointMeans>): ReadonlyArray<string> =>
  table(
    ["point", ours, baseline, "best rival on TTFT", "best rival on SLO", boundName],
    rows.map((point) => {
      const { byPolicy, key } = point
      const fastest = bestRival(point, "ttftMean")
      const surest = bestRival(point, "sloShare")
      return [
        key,
        shown(byPolicy.get(ours)),
        shown(byPolicy.get(baseline)),
        fastest === undefined ? "" : `${shown(fastest.means)} ${fastest.policy}`,
        surest === undefined ? "" : `${shown(surest.means)} ${surest.policy}`,
        shown(byPolicy.get(boundName))
      ]
    })
  )

/** Mean TTFT in seconds, share inside the SLO. */
const shown = (means: Means | undefined): string =>
  means === undefined ? "" : `${Number(means.ttftMean.toPrecision(3))} s, ${(means.sloShare * 100).toFixed(0)} %`

const cliffLines = ({ cliffs }: PolicyReport): ReadonlyArray<string> =>
  cliffs.length === 0 ? ["Cliffs (more than 5 % behind the best rival): none."] : [
    "Cliffs (more than 5 % behind the best rival and not ahead on the other measure):",
    "",
    ...cliffs.map(({ best, measure, ours, point, rival }) =>
      measure === "ttftMean"
        ? `- ${point}: TTFT ${ours.toFixed(3)} s, ${rival} ${best.toFixed(3)} s (+${
          ((ours / best - 1) * 100).toFixed(0)
        } %)`
        : `- ${point}: SLO share ${(ours * 100).toFixed(1)} %, ${rival} ${(best * 100).toFixed(1)} %`
    )
  ]

const table = (
  titles: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>
): ReadonlyArray<string> => [titles, titles.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`)

const BEGIN = "<!-- policies: begin -->"
const END = "<!-- policies: end -->"

/** Puts the report between its two marks in the bench's README. */
export const writeReadme = async (report: PolicyReport): Promise<void> => {
  const file = Bun.file(new URL("../README.md", import.meta.url))
  const text = await file.text()
  const begin = text.indexOf(BEGIN)
  const end = text.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`bench/README.md has no ${BEGIN} before a ${END}`)
  await file.write(`${text.slice(0, begin + BEGIN.length)}\n\n${reportMarkdown(report)}\n\n${text.slice(end)}`)
}
