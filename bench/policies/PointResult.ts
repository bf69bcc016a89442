import type { RunSummary } from "../../src/simulator/Measurements.ts"
import { type Group, keyOf, type Point } from "./points.ts"

export interface PolicyResult extends RunSummary {
  readonly policy: string
}

/** What `simulate --json` prints, and which fleet it was. */
export interface PointResult {
  readonly workload: string
  readonly load: string
  readonly fleet: string
  readonly seed: number
  readonly pods: number
  readonly results: ReadonlyArray<PolicyResult>
}

/** A point with each policy's results as means over the seeds. */
export interface PointMeans {
  readonly key: string
  readonly group: Group
  readonly fleet: string
  readonly byPolicy: ReadonlyMap<string, Means>
}

export interface Means {
  readonly ttftMean: number
  readonly ttftP99: number
  readonly tpotMean: number
  readonly e2eMean: number
  readonly outputTokensPerSecond: number
  readonly sloShare: number
}

/** Means over the seeds that every policy of the point was run with. */
export const meansOf = (point: Point, results: ReadonlyArray<PointResult>): PointMeans => {
  const key = keyOf(point)
  const own = results.filter((result) => keyOf({ ...result, load: Number(result.load) }) === key)
  const byPolicy = new Map<string, Means>()
  for (const { policy } of own[0]?.results ?? []) {
    const runs = own.flatMap(({ results }) => results.filter((result) => result.policy === policy))
    const mean = (of: (run: PolicyResult) => number): number =>
      runs.reduce((sum, run) => sum + of(run), 0) / runs.length
    byPolicy.set(policy, {
      ttftMean: mean((run) => run.ttftMean),
      ttftP99: mean((run) => run.ttftP99),
      tpotMean: mean((run) => run.tpotMean),
      e2eMean: mean((run) => run.e2eMean),
      outputTokensPerSecond: mean((run) => run.outputTokensPerSecond),
      sloShare: mean((run) => run.sloShare)
    })
  }
  return { key, group: point.group, fleet: point.fleet, byPolicy }
}
