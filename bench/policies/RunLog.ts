import { appendFileSync, existsSync, readFileSync } from "node:fs"
import type { Job } from "./Job.ts"
import type { PolicyResult } from "./PointResult.ts"
import { keyOf } from "./points.ts"

/** One line of the file. */
interface LoggedRun {
  readonly run: string
  readonly result: PolicyResult
}

/** Runs as JSON lines in a file, written as they end, so that a bench that was stopped can go on. */
export class RunLog {
  private readonly path: string | undefined
  private readonly known = new Map<string, PolicyResult>()

  /** Reads what is there; a last line that was cut short is passed over. Without a path it keeps nothing. */
  constructor(path: string | undefined) {
    this.path = path
    if (path === undefined || !existsSync(path)) return
    const text = readFileSync(path, "utf8")
    if (text !== "" && !text.endsWith("\n")) appendFileSync(path, "\n")
    for (const line of text.split("\n")) {
      if (!line.endsWith("}}")) continue
      const { result, run } = JSON.parse(line) as LoggedRun
      this.known.set(run, result)
    }
  }

  resultOf(job: Job): PolicyResult | undefined {
    return this.known.get(nameOf(job))
  }

  write(job: Job, result: PolicyResult): void {
    if (this.path === undefined) return
    const line: LoggedRun = { run: nameOf(job), result }
    appendFileSync(this.path, `${JSON.stringify(line)}\n`)
  }
}

const nameOf = ({ point, policy, seed }: Job): string => `${keyOf(point)} ${point.durationS ?? ""} ${policy} ${seed}`
