import { Either } from "effect"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import { fleets } from "../../src/simulator/fleets/catalog.ts"
import { defaultPath, runPolicy } from "../../src/simulator/runPolicy.ts"
import { readTrace } from "../../src/simulator/traces/formats.ts"
import type { Workload, WorkloadOptions } from "../../src/simulator/Workload.ts"
import { workloads } from "../../src/simulator/workloads/catalog.ts"
import type { Job, JobResult } from "./Job.ts"

/** A process of its own: runs what it is sent, one job at a time, until it is stopped. */

const HARDWARE = "qwen3-32b-2xh100"

/** By file: a trace is read once and played many times. */
const traces = new Map<string, (options: WorkloadOptions) => Workload>()

const workloadOf = async ({ point, seed, traceFile }: Job): Promise<Workload> => {
  const options = { load: point.load, seed, durationS: point.durationS }
  if (traceFile === undefined) return workloads.get(point.workload)!.make(options)
  let make = traces.get(traceFile)
  if (make === undefined) {
    make = Either.getOrThrowWith(
      readTrace(point.workload, await Bun.file(traceFile).text()),
      (fault) => new Error(`${traceFile}: ${fault}`)
    )
    traces.set(traceFile, make)
  }
  return make(options)
}

const run = async (job: Job): Promise<JobResult> => {
  const { point, pods, policy, seed } = job
  const constants = hardwarePresets[HARDWARE]!
  const fleet = fleets.get(point.fleet)!({ pods, constants, seed })
  const workload = await workloadOf(job)
  const summary = runPolicy({ workload, policy: { type: policy }, seed, pods, constants, path: defaultPath, fleet })
  return Either.match(summary, {
    onLeft: (fault) => ({ fault }),
    onRight: (summary) => ({ summary })
  })
}

process.on("message", (job: Job) => {
  run(job).catch((cause: unknown): JobResult => ({ fault: cause instanceof Error ? cause.message : String(cause) }))
    .then((result) => process.send?.(result))
})
process.on("disconnect", () => process.exit(0))
