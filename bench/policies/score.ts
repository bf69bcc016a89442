import { boundName } from "../../src/simulator/bound.ts"
import type { Means, PointMeans, PointResult } from "./PointResult.ts"

/** What every other policy is compared with: llm-d's tuned blend, queue 2, kv cache 2, prefix 3, no-hit-LRU 2. */
export const baseline = "llm-d-blend-lru"
export const ours = "marginal-cost"

export type Measure = "ttftMean" | "ttftP99" | "tpotMean" | "e2eMean" | "sloShare"
export const measures: ReadonlyArray<Measure> = ["ttftMean", "ttftP99", "tpotMean", "e2eMean", "sloShare"]

/** A share of nothing can't be a ratio: smaller ones count as this. */
const SLO_SHARE_MIN = 0.01

/** Geometric means of the ratios to the baseline, over all points and seeds that have both. */
export const geomeans = (
  results: ReadonlyArray<PointResult>
): Readonly<Record<string, Readonly<Record<Measure, number>>>> => {
  const logs = new Map<string, Record<Measure, number> & { count: number }>()
  for (const { results: runs } of results) {
    const base = runs.find(({ policy }) => policy === baseline)
    if (base === undefined) continue
    for (const run of runs) {
      const sums = logs.get(run.policy) ?? { ttftMean: 0, ttftP99: 0, tpotMean: 0, e2eMean: 0, sloShare: 0, count: 0 }
      for (const measure of measures) sums[measure] += Math.log(ratio(measure, run, base))
      sums.count++
      logs.set(run.policy, sums)
    }
  }
  return Object.fromEntries([...logs].map(([policy, sums]) => [
    policy,
    Object.fromEntries(measures.map((measure) => [measure, Math.exp(sums[measure] / sums.count)])) as Record<
      Measure,
      number
    >
  ]))
}

type Values = Readonly<Record<Measure, number>>

const ratio = (measure: Measure, one: Values, other: Values): number =>
  measure === "sloShare"
    ? Math.max(SLO_SHARE_MIN, one.sloShare) / Math.max(SLO_SHARE_MIN, other.sloShare)
    : one[measure] / other[measure]

/** Where a rival beats ours. */
export interface Cliff {
  readonly point: string
  readonly measure: "ttftMean" | "sloShare"
  readonly rival: string
  readonly ours: number
  readonly best: number
}

/** The real policy, ours left out, that is best at a point; undefined when there is none to compare with. */
export const bestRival = (
  { byPolicy }: { readonly byPolicy: ReadonlyMap<string, Means> },
  measure: "ttftMean" | "sloShare"
): { readonly policy: string; readonly means: Means } | undefined => {
  let best: { readonly policy: string; readonly means: Means } | undefined
  for (const [policy, means] of byPolicy) {
    if (policy === ours || policy === boundName) continue
    if (best === undefined || isBetter(measure, means, best.means)) best = { policy, means }
  }
  return best
}

const isBetter = (measure: "ttftMean" | "sloShare", one: Means, other: Means): boolean => {
  if (measure === "ttftMean") return one.ttftMean < other.ttftMean
  // Many policies are inside for all requests; the faster one is the one to beat then.
  return one.sloShare > other.sloShare || (one.sloShare === other.sloShare && one.ttftMean < other.ttftMean)
}

/** Points at which ours is behind the best rival by more than `allowance`, and not ahead of it on the other measure. */
export const cliffsOf = (points: ReadonlyArray<PointMeans>, allowance: number): ReadonlyArray<Cliff> =>
  points.flatMap((point): ReadonlyArray<Cliff> => {
    const own = point.byPolicy.get(ours)
    const fastest = bestRival(point, "ttftMean")
    const surest = bestRival(point, "sloShare")
    if (own === undefined || fastest === undefined || surest === undefined) return []
    const cliffs: Array<Cliff> = []
    if (own.ttftMean > fastest.means.ttftMean * (1 + allowance) && own.sloShare <= fastest.means.sloShare) {
      cliffs.push({
        point: point.key,
        measure: "ttftMean",
        rival: fastest.policy,
        ours: own.ttftMean,
        best: fastest.means.ttftMean
      })
    }
    if (own.sloShare < surest.means.sloShare * (1 - allowance) && own.ttftMean >= surest.means.ttftMean) {
      cliffs.push({
        point: point.key,
        measure: "sloShare",
        rival: surest.policy,
        ours: own.sloShare,
        best: surest.means.sloShare
      })
    }
    return cliffs
  })
