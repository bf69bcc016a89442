import { evenFleetName } from "../../src/simulator/fleets/catalog.ts"
import type { Means, PointMeans, PointResult } from "./PointResult.ts"
import { baseline, bestRival, cliffsOf, geomeans, type Measure, ours } from "./score.ts"

/** A target and how it was met or missed, in words and numbers. */
export interface Verdict {
  readonly target: string
  readonly met: boolean
  readonly found: string
}

/** Geometric means that ours should reach against the baseline, over the main points. */
const meanTargets: ReadonlyArray<readonly [Measure, number]> = [
  ["ttftMean", 0.7],
  ["ttftP99", 0.66],
  ["tpotMean", 0.8],
  ["e2eMean", 0.88],
  ["sloShare", 1.15]
]

const CLIFF_SHARE = 0.05
const EDGE_SHARE = 0.1

/** One line a target; targets whose points or policies were left out are left out too. */
export const verdictsOn = (
  points: ReadonlyArray<PointMeans>,
  mainResults: ReadonlyArray<PointResult>
): ReadonlyArray<Verdict> => {
  const main = points.filter(({ group }) => group === "main")
  const byFleet = Map.groupBy(points.filter(({ group }) => group === "fleets"), ({ fleet }) => fleet)
  return [
    ...meansVerdicts(mainResults),
    ...cliffVerdict(main),
    ...ladderVerdicts(points.find(({ fleet, key }) => key === "ladder:1" && fleet === evenFleetName)),
    ...points.filter(({ group }) => group === "kv-edge").flatMap(edgeVerdict),
    ...[...byFleet].flatMap(([fleet, points]) => fleetVerdict(fleet, points))
  ]
}

const meansVerdicts = (results: ReadonlyArray<PointResult>): ReadonlyArray<Verdict> => {
  const own = geomeans(results)[ours]
  if (own === undefined) return []
  return meanTargets.map(([measure, bound]) => {
    const found = own[measure]
    const isShare = measure === "sloShare"
    const missedBy = isShare ? 1 - found / bound : found / bound - 1
    return {
      target: `${measure} against ${baseline}, geometric mean: ${isShare ? "≥" : "≤"} ${bound}`,
      met: isShare ? found >= bound : found <= bound,
      found: `${found.toFixed(3)}${missedBy > 0 ? `, misses by ${percent(missedBy)}` : ""}`
    }
  })
}

const cliffVerdict = (main: ReadonlyArray<PointMeans>): ReadonlyArray<Verdict> => {
  if (!main.some((point) => bestRival(point, "ttftMean") !== undefined && point.byPolicy.has(ours))) return []
  const cliffs = cliffsOf(main, CLIFF_SHARE)
  const at = new Set(cliffs.map(({ point }) => point))
  return [{
    target: `no cliff: nowhere more than ${percent(CLIFF_SHARE)} behind the best rival on TTFT or SLO share`,
    met: cliffs.length === 0,
    found: at.size === 0
      ? `none at ${main.length} points`
      : `${at.size} of ${main.length} points: ${[...at].join(", ")}`
  }]
}

const ladderVerdicts = (ladder: PointMeans | undefined): ReadonlyArray<Verdict> => {
  const own = ladder?.byPolicy.get(ours)
  const blend = ladder?.byPolicy.get(baseline)
  const blind = ladder?.byPolicy.get("round-robin")
  if (own === undefined) return []
  const verdicts: Array<Verdict> = []
  if (blend !== undefined) {
    const ttft = own.ttftMean / blend.ttftMean
    const output = own.outputTokensPerSecond / blend.outputTokensPerSecond
    verdicts.push({
      target: "ladder: mean TTFT within 2 % of the blend's",
      met: ttft <= 1.02,
      found: `${own.ttftMean.toFixed(4)} s against ${blend.ttftMean.toFixed(4)} s, ${signed(ttft - 1)}`
    }, {
      target: "ladder: output within 1 % of the blend's",
      met: output >= 0.99,
      found: `${own.outputTokensPerSecond.toFixed(0)} against ${blend.outputTokensPerSecond.toFixed(0)} tokens/s, ${
        signed(output - 1)
      }`
    })
  }
  if (blind !== undefined) {
    const output = own.outputTokensPerSecond / blind.outputTokensPerSecond
    verdicts.push({
      target: "ladder: output ≥ 1.75 × round robin's",
      met: output >= 1.75,
      found: `${output.toFixed(2)} ×`
    })
  }
  return verdicts
}

const edgeVerdict = ({ byPolicy, key }: PointMeans): ReadonlyArray<Verdict> => {
  const own = byPolicy.get(ours)
  const blend = byPolicy.get(baseline)
  if (own === undefined || blend === undefined) return []
  return [{
    target: `edge of KV, ${key}: not more than ${percent(EDGE_SHARE)} behind the blend`,
    met: own.ttftMean <= blend.ttftMean * (1 + EDGE_SHARE) && own.sloShare >= blend.sloShare * (1 - EDGE_SHARE),
    found: pair(own, blend)
  }]
}

/** The whole variation counts as one point: geometric mean of TTFT, mean of the SLO share. */
const fleetVerdict = (fleet: string, points: ReadonlyArray<PointMeans>): ReadonlyArray<Verdict> => {
  const policies = [...points[0]?.byPolicy.keys() ?? []].filter((policy) =>
    points.every(({ byPolicy }) => byPolicy.has(policy))
  )
  const whole: PointMeans = {
    key: fleet,
    group: "fleets",
    fleet,
    byPolicy: new Map(policies.map((policy) => [policy, together(points.map(({ byPolicy }) => byPolicy.get(policy)!))]))
  }
  const own = whole.byPolicy.get(ours)
  const rival = bestRival(whole, "ttftMean")
  const surest = bestRival(whole, "sloShare")
  if (own === undefined || rival === undefined || surest === undefined) return []
  return [{
    target: `${fleet}: not behind the best rival`,
    met: cliffsOf([whole], 0).length === 0,
    found: `${pair(own, rival.means)} (${rival.policy})` +
      (surest.policy === rival.policy ? "" : `; best SLO share ${percent(surest.means.sloShare)} (${surest.policy})`)
  }]
}

const together = (means: ReadonlyArray<Means>): Means => {
  const geo = (of: (each: Means) => number): number =>
    Math.exp(means.reduce((sum, each) => sum + Math.log(of(each)), 0) / means.length)
  return {
    ttftMean: geo((each) => each.ttftMean),
    ttftP99: geo((each) => each.ttftP99),
    tpotMean: geo((each) => each.tpotMean),
    e2eMean: geo((each) => each.e2eMean),
    outputTokensPerSecond: geo((each) => each.outputTokensPerSecond),
    sloShare: means.reduce((sum, each) => sum + each.sloShare, 0) / means.length
  }
}

const pair = (own: Means, other: Means): string =>
  `TTFT ${own.ttftMean.toFixed(3)} s against ${other.ttftMean.toFixed(3)} s (${
    signed(own.ttftMean / other.ttftMean - 1)
  }), SLO share ${percent(own.sloShare)} against ${percent(other.sloShare)}`

const percent = (share: number): string => `${Number((share * 100).toFixed(1))} %`
const signed = (share: number): string => `${share >= 0 ? "+" : ""}${percent(share)}`
