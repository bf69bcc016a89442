import type { RunSummary } from "../src/simulator/Measurements.ts"
import type { Job } from "./policies/Job.ts"
import type { PointResult, PolicyResult } from "./policies/PointResult.ts"
import { keyOf, type Point } from "./policies/points.ts"
import { type PolicyReport, reportOn, type Skipped } from "./policies/PolicyReport.ts"
import { reportMarkdown, writeReadme } from "./policies/report.ts"
import { RunLog } from "./policies/RunLog.ts"
import { runAll } from "./policies/Runners.ts"
import { bestRival, ours } from "./policies/score.ts"
import { flags, type PolicyBenchOptions, type Settings, settingsOf } from "./policies/settings.ts"
import { traceFile } from "./policies/traceFiles.ts"

export const name = "policies"
export const claim =
  "marginal-cost against every published policy, simulated on 8 pods: TTFT at most 0.70 of llm-d's blend, " +
  "and no workload on which another policy is clearly better"

const PODS = 8

export { flags }

export const run = async (options: PolicyBenchOptions): Promise<PolicyReport> => {
  const settings = settingsOf(options)
  const earlier = settings.against === undefined ? [] : await readEarlier(settings.against)
  const { jobs, skipped } = await jobsOf(settings)
  for (const { point, why } of skipped) options.progress(`${point} is left out: ${why}`)
  const tally = new Tally(jobs, options.progress)
  const log = new RunLog(settings.resume)
  const left = jobs.filter((job) => {
    const known = log.resultOf(job)
    if (known !== undefined) tally.add(job, known)
    return known === undefined
  })
  await runAll(left, settings.jobs, (job, summary) => {
    const result = { policy: job.policy, ...rounded(summary) }
    log.write(job, result)
    tally.add(job, result)
  })
  const results = tally.results().map((result) => together(result, earlier))
  const report = reportOn(settings.points, results, skipped)
  if (settings.writesReadme) await writeReadme(report)
  options.progress(`${jobs.length} runs in ${(tally.elapsedS / 60).toFixed(1)} minutes\n`)
  return report
}

export const show = (report: PolicyReport): string => reportMarkdown(report)

const jobsOf = async (
  { points, policies, seeds, tracesDirectory }: Settings
): Promise<{ readonly jobs: ReadonlyArray<Job>; readonly skipped: ReadonlyArray<Skipped> }> => {
  const files = new Map<string, Awaited<ReturnType<typeof traceFile>>>()
  const jobs: Array<Job> = []
  const skipped: Array<Skipped> = []
  for (const point of points) {
    let file: string | undefined
    if (point.isTrace) {
      const found = files.get(point.workload) ?? await traceFile(tracesDirectory, point.workload)
      files.set(point.workload, found)
      if ("missing" in found) {
        skipped.push({ point: keyOf(point), why: found.missing })
        continue
      }
      file = found.path
    }
    for (const seed of isOfEvenFleets(point) ? seeds : seeds.slice(0, FLEET_SEEDS)) {
      for (const policy of policies) {
        if (isWorthTrying(policy, point)) jobs.push({ point, policy, seed, pods: PODS, traceFile: file })
      }
    }
  }
  return { jobs, skipped }
}

/** Far behind on every even fleet, or all but equal to one that is run; they are left out where it is about fleets. */
const leftOutOnFleets: ReadonlySet<string> = new Set([
  "random",
  "least-requests",
  "power-of-two",
  "smg-least-load",
  "dynamo-kv",
  "llm-d-blend"
])

/** They are judged over several workloads together, and with three seeds would take longer than all the rest. */
const FLEET_SEEDS = 1

const isOfEvenFleets = ({ group }: Point): boolean => group === "main" || group === "kv-edge"

const isWorthTrying = (policy: string, point: Point): boolean => isOfEvenFleets(point) || !leftOutOnFleets.has(policy)

const readEarlier = async (path: string): Promise<ReadonlyArray<PointResult>> => {
  const { points } = await Bun.file(path).json() as { readonly points: ReadonlyArray<PointResult> }
  return points
}

const DIGITS = 6

const rounded = (summary: RunSummary): RunSummary =>
  Object.fromEntries(
    Object.entries(summary).map(([key, value]: [string, number]) => [key, Number(value.toPrecision(DIGITS))])
  ) as unknown as RunSummary

/** With the earlier results of policies that were not run now. */
const together = (result: PointResult, earlier: ReadonlyArray<PointResult>): PointResult => {
  const former = earlier.find(({ fleet, load, seed, workload }) =>
    fleet === result.fleet && load === result.load && seed === result.seed && workload === result.workload
  )
  const fresh = new Set(result.results.map(({ policy }) => policy))
  const kept = former?.results.filter(({ policy }) => !fresh.has(policy)) ?? []
  return { ...result, results: [...result.results, ...kept] }
}

/** Collects results as they come in any order, and tells how far it is. */
class Tally {
  private readonly jobs: ReadonlyArray<Job>
  private readonly progress: (line: string) => void
  private readonly found = new Map<Job, PolicyResult>()
  private readonly startedMs = performance.now()

  constructor(jobs: ReadonlyArray<Job>, progress: (line: string) => void) {
    this.jobs = jobs
    this.progress = progress
  }

  get elapsedS(): number {
    return (performance.now() - this.startedMs) / 1000
  }

  add(job: Job, result: PolicyResult): void {
    this.found.set(job, result)
    const same = this.jobs.filter((other) => isSameWorld(job, other))
    const done = same.flatMap((other) => this.found.get(other) ?? [])
    if (done.length < same.length) return
    const leftS = this.elapsedS * (this.jobs.length / this.found.size - 1)
    this.progress(
      `${keyOf(job.point)}, seed ${job.seed}: ${headline(done)}; ${this.found.size} of ${this.jobs.length} runs, ` +
        `${Math.ceil(leftS / 60)} min left`
    )
  }

  /** In the order of the jobs. */
  results(): ReadonlyArray<PointResult> {
    const worlds = Map.groupBy(this.jobs, ({ point, seed }) => `${keyOf(point)} ${seed}`)
    return [...worlds.values()].map((jobs) => resultOf(jobs[0]!, jobs.flatMap((job) => this.found.get(job) ?? [])))
  }
}

const isSameWorld = (one: Job, other: Job): boolean => one.point === other.point && one.seed === other.seed

const resultOf = ({ point, pods, seed }: Job, results: ReadonlyArray<PolicyResult>): PointResult => ({
  workload: point.workload,
  load: `${point.load}`,
  fleet: point.fleet,
  seed,
  pods,
  results
})

/** Ours and the best real other one. */
const headline = (results: ReadonlyArray<PolicyResult>): string => {
  const byPolicy = new Map(results.map((result) => [result.policy, result]))
  const own = byPolicy.get(ours)
  const rival = bestRival({ byPolicy }, "ttftMean")
  return [
    own === undefined ? [] : [shown(own.policy, own)],
    rival === undefined ? [] : [shown(rival.policy, rival.means)]
  ].flat().join(", ")
}

const shown = (policy: string, { sloShare, ttftMean }: { readonly sloShare: number; readonly ttftMean: number }) =>
  `${policy} ${ttftMean.toFixed(3)} s and ${(sloShare * 100).toFixed(0)} % inside`
