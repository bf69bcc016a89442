import { Console, Effect, Either } from "effect"
import { hardwarePresets } from "../core/hardwarePresets.ts"
import { fleets } from "../simulator/fleets/catalog.ts"
import type { RunSummary } from "../simulator/Measurements.ts"
import { defaultPath, runPolicy } from "../simulator/runPolicy.ts"
import { CommandFailure } from "./failure.ts"
import { type Replay, replayedPolicies, replayOf } from "./replay.ts"
import { type WorkloadChoice, workloadMaker, workloadSource } from "./workloadChoice.ts"

/** Flags of `warmroute simulate`; what may be undefined has a default that depends on the others. */
export interface SimulateChoice extends Omit<WorkloadChoice, "workload"> {
  readonly workload: string | undefined
  readonly policy: string
  /** A decision log to play instead of a workload or a trace. */
  readonly replay: string | undefined
  readonly pods: number | undefined
  readonly hardware: string
  readonly fleet: string
  readonly json: boolean
}

const DEFAULT_PODS = 8
const DEFAULT_WORKLOAD = "ladder"

interface PolicyResult extends RunSummary {
  readonly policy: string
}

/** Runs each policy through the same requests in virtual time and prints how it went. */
export const simulate = (choice: SimulateChoice): Effect.Effect<void, CommandFailure> =>
  Effect.gen(function*() {
    const constants = hardwarePresets[choice.hardware]
    if (constants === undefined) {
      return yield* fail(`no hardware "${choice.hardware}"; there are: ${Object.keys(hardwarePresets).join(", ")}`)
    }
    const makeFleet = fleets.get(choice.fleet)
    if (makeFleet === undefined) {
      return yield* fail(`no fleet "${choice.fleet}"; there are: ${[...fleets.keys()].join(", ")}`)
    }
    const { replay: log, trace, workload = DEFAULT_WORKLOAD } = choice
    if ([choice.workload, trace, log].filter((given) => given !== undefined).length > 1) {
      return yield* fail("takes one of --workload, --trace and --replay")
    }
    const played = { ...choice, workload }
    const source = yield* workloadSource(
      "simulate",
      log === undefined ? played : { ...played, trace: log, format: "decisions" }
    )
    const { load } = source.options
    const makeWorkload = workloadMaker(source)
    if (Either.isLeft(makeWorkload)) return yield* fail(makeWorkload.left)
    const replay = log === undefined ? undefined : replayOf(source)
    for (const warning of replay?.warnings ?? []) yield* Console.error(`warning: ${warning}.`)
    const pods = choice.pods ?? replay?.observed.pods ?? DEFAULT_PODS
    const asked = choice.policy.split(",")
    const results: Array<PolicyResult> = []
    for (const policy of replay === undefined ? asked : replayedPolicies(replay, asked)) {
      const workload = makeWorkload.right()
      const startedMs = performance.now()
      const report = progressOf(`${workload.name} ${load}, ${policy}`)
      const run = runPolicy({
        workload,
        policy: { type: policy },
        seed: choice.seed,
        pods,
        constants,
        path: defaultPath,
        fleet: makeFleet({ pods, constants, seed: choice.seed }),
        progress: (ended, nowS) => report(`${ended} requests, ${Math.round(nowS)} s`)
      })
      if (Either.isLeft(run)) return yield* fail(run.left)
      report(
        `${run.right.requests} requests measured in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`,
        true
      )
      results.push({ policy, ...run.right })
    }
    const run = { workload: source.name, load: `${load}`, seed: choice.seed, pods, results, ...replay }
    yield* Console.log(choice.json ? JSON.stringify(run, rounded) : tableOf([...observedRow(replay), ...results]))
  })

const observedRow = (replay: Replay | undefined): ReadonlyArray<PolicyResult> =>
  replay === undefined ? [] : [{ ...replay.observed, policy: `observed (${replay.observed.policy})` }]

const fail = (reason: string): Effect.Effect<never, CommandFailure> =>
  Effect.fail(new CommandFailure({ message: `warmroute simulate: ${reason}` }))

/** On a terminal the line is written over and over, elsewhere only what is final. */
const progressOf = (title: string) => (text: string, final = false): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r${title}: ${text}\u001b[K${final ? "\n" : ""}`)
  else if (final) process.stderr.write(`${title}: ${text}\n`)
}

const DIGITS = 6

const rounded = (_: string, value: unknown): unknown =>
  typeof value === "number" ? Number(value.toPrecision(DIGITS)) : value

const columns: ReadonlyArray<readonly [string, (result: PolicyResult) => string]> = [
  ["policy", ({ policy }) => policy],
  ["TTFT mean s", ({ ttftMean }) => ttftMean.toFixed(3)],
  ["p50 s", ({ ttftP50 }) => ttftP50.toFixed(3)],
  ["p99 s", ({ ttftP99 }) => ttftP99.toFixed(3)],
  ["TPOT ms", ({ tpotMean }) => (tpotMean * 1000).toFixed(1)],
  ["end to end s", ({ e2eMean }) => e2eMean.toFixed(2)],
  ["output tok/s", ({ outputTokensPerSecond }) => outputTokensPerSecond.toFixed(0)],
  ["hit", ({ hitRatio }) => `${(hitRatio * 100).toFixed(1)} %`],
  ["inside SLO", ({ sloShare }) => `${(sloShare * 100).toFixed(1)} %`],
  ["requests", ({ requests }) => `${requests}`],
  ["refused", ({ refused }) => `${refused}`]
]

const tableOf = (results: ReadonlyArray<PolicyResult>): string => {
  const rows = [columns.map(([title]) => title), ...results.map((result) => columns.map(([, show]) => show(result)))]
  const widths = columns.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row.map((cell, column) => column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)).join(
      "  "
    )
  ).join("\n")
}
