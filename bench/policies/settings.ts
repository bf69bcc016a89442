import { availableParallelism } from "node:os"
import { policyNames } from "../../src/policies/registry.ts"
import { boundName } from "../../src/simulator/bound.ts"
import type { BenchOptions } from "../Bench.ts"
import { type Flags, wholeNumberOf, WrongOption } from "../flags.ts"
import { keyOf, type Point, points, selectPoints } from "./points.ts"

export interface Settings {
  readonly points: ReadonlyArray<Point>
  readonly policies: ReadonlyArray<string>
  readonly seeds: ReadonlyArray<number>
  readonly jobs: number
  readonly tracesDirectory: string | undefined
  /** JSON of an earlier run, whose results stand in for policies that are not run now. */
  readonly against: string | undefined
  /** JSON lines of the runs so far, which are not run again. */
  readonly resume: string | undefined
  readonly writesReadme: boolean
}

/** Seeds 1 and 2 are for tuning; what is reported comes from others. */
const REPORT_SEEDS: ReadonlyArray<number> = [11, 12, 13]

const policies: ReadonlyArray<string> = [...policyNames, boundName]

const QUICK_S = 60
/** Below this the ladder's stages have hardly a request each. */
const QUICK_LADDER_S = 120

export const flags = {
  only: { takes: "POINTS", help: "keys, workloads, fleets, or the groups main, kv-edge, fleets, gateways" },
  policies: { takes: "NAMES", help: "the policies to run" },
  seeds: { takes: "LIST", help: `default ${REPORT_SEEDS.join(",")}` },
  jobs: { takes: "N", help: "processes; default one a core" },
  traces: { takes: "DIR", help: "where the recorded traces lie" },
  against: { takes: "FILE", help: "JSON of an earlier run, whose results stand in for policies that are not run now" },
  resume: { takes: "FILE", help: "goes on where a bench of the same code with the same file was stopped" },
  readme: { help: "writes the tables into bench/README.md" }
} satisfies Flags
export type PolicyBenchOptions = BenchOptions<typeof flags>

/** Throws WrongOption when one names what is not there. */
export const settingsOf = ({ quick, values }: PolicyBenchOptions): Settings => {
  const words = values.only?.split(",") ?? []
  const stray = words.filter((word) => selectPoints([word]).length === 0)
  if (stray.length > 0) {
    throw new WrongOption(`no point ${stray.join(", ")}; there are: ${points.map(keyOf).join(", ")}`)
  }
  const chosen = values.only === undefined ? points : selectPoints(words)
  const named = values.policies?.split(",") ?? policies
  const unknown = named.filter((name) => !policies.includes(name))
  if (unknown.length > 0) throw new WrongOption(`no policy ${unknown.join(", ")}; there are: ${policies.join(", ")}`)
  return {
    points: quick ? chosen.map(shortened) : chosen,
    policies: named,
    seeds: values.seeds === undefined
      ? quick ? REPORT_SEEDS.slice(0, 1) : REPORT_SEEDS
      : values.seeds.split(",").map((seed) => wholeNumberOf("seeds", seed, 0)),
    jobs: values.jobs === undefined ? availableParallelism() : wholeNumberOf("jobs", values.jobs, 1),
    tracesDirectory: values.traces,
    against: values.against,
    resume: values.resume,
    writesReadme: values.readme === true
  }
}

const shortened = (point: Point): Point =>
  Object.assign({}, point, {
    durationS: point.workload === "ladder" ? QUICK_LADDER_S : QUICK_S
  })
