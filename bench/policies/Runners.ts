import { fileURLToPath } from "node:url"
import type { RunSummary } from "../../src/simulator/Measurements.ts"
import type { Job, JobResult } from "./Job.ts"

const program = fileURLToPath(new URL("runJobs.ts", import.meta.url))

/** Runs all jobs in `count` processes, in order as they get free; stops at the first fault, which it throws. */
export const runAll = async (
  jobs: ReadonlyArray<Job>,
  count: number,
  onResult: (job: Job, summary: RunSummary) => void
): Promise<void> => {
  let next = 0
  const work = async (): Promise<void> => {
    const runner = new Runner()
    try {
      for (let job = jobs[next++]; job !== undefined; job = jobs[next++]) {
        const result = await runner.run(job)
        if ("fault" in result) {
          throw new Error(`${job.point.workload}:${job.point.load}, ${job.policy}: ${result.fault}`)
        }
        onResult(job, result.summary)
      }
    } catch (cause) {
      next = jobs.length
      throw cause
    } finally {
      runner.stop()
    }
  }
  await Promise.all(Array.from({ length: Math.min(count, jobs.length) }, work))
}

/** One process that runs a job at a time. */
class Runner {
  private readonly child: Bun.Subprocess
  private settle: ((result: JobResult) => void) | undefined

  constructor() {
    this.child = Bun.spawn([process.execPath, program], {
      stdin: "ignore",
      stdout: "inherit",
      stderr: "inherit",
      ipc: (result: JobResult) => this.answer(result),
      onExit: (_, code, signal) => this.answer({ fault: `the process that simulated it ended with ${code ?? signal}` })
    })
  }

  run(job: Job): Promise<JobResult> {
    return new Promise((resolve) => {
      this.settle = resolve
      this.child.send(job)
    })
  }

  stop(): void {
    this.child.kill()
  }

  private answer(result: JobResult): void {
    this.settle?.(result)
    this.settle = undefined
  }
}
