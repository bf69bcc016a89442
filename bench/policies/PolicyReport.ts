import { meansOf, type PointMeans, type PointResult } from "./PointResult.ts"
import { keyOf, type Point } from "./points.ts"
import { type Cliff, cliffsOf, geomeans, type Measure } from "./score.ts"
import { type Verdict, verdictsOn } from "./verdicts.ts"

/** A point that was not run. */
export interface Skipped {
  readonly point: string
  readonly why: string
}

export interface PolicyReport {
  readonly points: ReadonlyArray<PointResult>
  /** Against the baseline, over the main points and all seeds. */
  readonly geomean: Readonly<Record<string, Readonly<Record<Measure, number>>>>
  readonly cliffs: ReadonlyArray<Cliff>
  readonly verdicts: ReadonlyArray<Verdict>
  readonly skipped: ReadonlyArray<Skipped>
}

/** Points with their means over the seeds; points without results are left out. */
export const meansOver = (
  points: ReadonlyArray<Point>,
  results: ReadonlyArray<PointResult>
): ReadonlyArray<PointMeans> =>
  points.map((point) => meansOf(point, results)).filter(({ byPolicy }) => byPolicy.size > 0)

/** Rivals win by chance at some points; only more than this is called a cliff. */
const CLIFF_SHARE = 0.05

export const reportOn = (
  points: ReadonlyArray<Point>,
  results: ReadonlyArray<PointResult>,
  skipped: ReadonlyArray<Skipped>
): PolicyReport => {
  const mainKeys = new Set(points.filter(({ group }) => group === "main").map(keyOf))
  const main = results.filter((result) => mainKeys.has(keyOf({ ...result, load: Number(result.load) })))
  const means = meansOver(points, results)
  return {
    points: results,
    geomean: geomeans(main),
    cliffs: cliffsOf(means.filter(({ group }) => group !== "gateways"), CLIFF_SHARE),
    verdicts: verdictsOn(means, main),
    skipped
  }
}
