import { Console, Effect, Either } from "effect"
import { makePolicy } from "../policies/registry.ts"
import { defaultPath } from "../simulator/runPolicy.ts"
import { decodeStepSeconds, type EngineConstants } from "../core/EngineConstants.ts"
import type { Slo } from "../simulator/Measurements.ts"
import { planFleets, type PolicyPlan } from "../simulator/plan/planFleets.ts"
import { traceFormats } from "../simulator/traces/formats.ts"
import { workloads } from "../simulator/workloads/catalog.ts"
import { CommandFailure } from "./failure.ts"
import { hardwareChoice } from "./hardwareChoice.ts"
import { checkWritable, writeNamed } from "./namedFile.ts"
import { planJson } from "./plan/planJson.ts"
import { planPage } from "./plan/planPage.ts"
import { planProgress } from "./plan/planProgress.ts"
import type { PlanReport } from "./plan/PlanReport.ts"
import { remarks } from "./plan/PlanReport.ts"
import { planText } from "./plan/planText.ts"
import { planThreads } from "./plan/planThreads.ts"
import { shownSeconds } from "./plan/shownNumbers.ts"
import { parseSlo } from "./plan/sloText.ts"
import { type WorkloadChoice, workloadMaker, type WorkloadSource, workloadSource } from "./workloadChoice.ts"

/** Flags of `warmroute plan`. */
export interface PlanChoice extends Omit<WorkloadChoice, "workload"> {
  readonly workload: string | undefined
  readonly timeScale: string | undefined
  readonly hardware: string
  readonly gpus: string | undefined
  readonly slo: string
  readonly share: number
  readonly policy: string
  readonly podsMax: number
  readonly threads: number
  readonly html: string | undefined
  readonly json: boolean
}

/** Finds the smallest fleet for each policy; fails when no policy has one, after it printed how far each got. */
export const plan = (choice: PlanChoice): Effect.Effect<void, CommandFailure> =>
  Effect.gen(function*() {
    const slo = yield* orFail(Either.mapLeft(parseSlo(choice.slo), (fault) => `--slo ${fault}`))
    const { constants, preset } = yield* hardwareChoice("plan", choice.hardware)
    yield* withinReach(slo, constants)
    const gpusPerPod = yield* gpusOf(choice.gpus, preset)
    const policies = yield* policyNames(choice.policy)
    const source = yield* workloadSource("plan", yield* workloadFlags(choice))
    yield* orFail(workloadMaker(source))
    if (choice.html !== undefined) yield* checkWritable("plan", choice.html)
    const plans = yield* search(choice, source, constants, slo, policies)
    if (plans[0]?.points.every(({ summary }) => summary.requests + summary.refused === 0) === true) {
      return yield* fail("no request was measured: the trace is empty, or --duration too short")
    }
    const report: PlanReport = {
      workload: source.name,
      trace: source.trace?.path,
      load: source.options.load,
      loadUnit: (source.trace === undefined ? workloads : traceFormats).get(source.name)?.load ?? "",
      durationS: source.options.durationS,
      seed: choice.seed,
      hardware: preset,
      constants,
      gpusPerPod,
      slo,
      share: choice.share,
      podsMax: choice.podsMax,
      policies: plans
    }
    if (choice.html !== undefined) yield* writeNamed("plan", choice.html, planPage(report))
    yield* Console.log(choice.json ? planJson(report) : planText(report))
    if (choice.html !== undefined && !choice.json) yield* Console.log(`\nThe curves are in ${choice.html}`)
    if (plans.every(({ pods }) => pods === undefined)) {
      return yield* fail(
        ["no policy holds the objective", ...(choice.json ? remarks(report) : ["see above how far each got"])].join(
          "\n"
        )
      )
    }
  })

const fail = (reason: string): Effect.Effect<never, CommandFailure> =>
  Effect.fail(new CommandFailure({ message: `warmroute plan: ${reason}` }))

const orFail = <A>(either: Either.Either<A, string>): Effect.Effect<A, CommandFailure> =>
  Either.match(either, { onLeft: fail, onRight: Effect.succeed })

/** An objective that one request on an idle pod misses needs no simulation. */
const withinReach = (slo: Slo, constants: EngineConstants): Effect.Effect<void, CommandFailure> => {
  const stepS = decodeStepSeconds(constants, 1, 0)
  const ttftS = defaultPath.toPodS + defaultPath.fromPodS + constants.stepFixedS + constants.weightReadS
  if (slo.tpotS < stepS) {
    return fail(
      `no fleet holds a TPOT of ${shownSeconds(slo.tpotS)}: an idle pod of this hardware takes ${
        shownSeconds(stepS)
      } a token`
    )
  }
  return slo.ttftS < ttftS
    ? fail(
      `no fleet holds a TTFT of ${shownSeconds(slo.ttftS)}: an idle pod of this hardware takes ${
        shownSeconds(ttftS)
      } for the shortest prompt`
    )
    : Effect.void
}

const policyNames = (text: string): Effect.Effect<ReadonlyArray<string>, CommandFailure> => {
  const names = [...new Set(text.split(",").map((name) => name.trim()).filter((name) => name !== ""))]
  if (names.length === 0) return fail("--policy names none")
  return Effect.forEach(names, (type) => Effect.as(orFail(makePolicy({ type }, 1)), type))
}

/** A trace or a workload, and the load under the name that suits it. */
const workloadFlags = (choice: PlanChoice): Effect.Effect<WorkloadChoice, CommandFailure> => {
  const { duration, format, load, seed, timeScale, trace, workload } = choice
  if (trace === undefined && workload === undefined) {
    return fail(
      `needs --trace FILE, a record of what clients ask, or --workload NAME (${[...workloads.keys()].join(", ")})`
    )
  }
  if (trace !== undefined && workload !== undefined) return fail("takes --trace or --workload, not both")
  if (timeScale === undefined) return Effect.succeed({ duration, format, load, seed, trace, workload: workload ?? "" })
  if (load !== undefined) return fail("takes --time-scale or --load, not both")
  const known = traceFormats.get(format)
  if (trace === undefined || (known !== undefined && known.load !== traceFormats.get("mooncake")?.load)) {
    return fail(
      `--time-scale is for traces with times of arrival; use --load (${
        (trace === undefined ? workloads.get(workload ?? "") : known)?.load ?? "a number"
      })`
    )
  }
  return Number(timeScale) > 0 && Number.isFinite(Number(timeScale))
    ? Effect.succeed({ duration, format, load: timeScale, seed, trace, workload: "" })
    : fail(`--time-scale is "${timeScale}" but must be a number above 0`)
}

const search = (
  choice: PlanChoice,
  source: WorkloadSource,
  constants: EngineConstants,
  slo: Slo,
  policies: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<PolicyPlan>, CommandFailure> => {
  const progress = planProgress(`planning ${source.name}`)
  const { podsMax, share, threads } = choice
  return Effect.gen(function*() {
    const simulateFleet = yield* planThreads({ source, constants, slo }, threads)
    return yield* planFleets({
      policies,
      share,
      podsMax,
      simulate: (policy, pods) => progress.watch({ policy, pods }, simulateFleet),
      onProgress: progress.update
    })
  }).pipe(Effect.scoped, Effect.ensuring(Effect.sync(progress.end)))
}

/** As the flag says, or as a preset's name does: `qwen3-32b-2xh100`. */
const gpusOf = (flag: string | undefined, name: string): Effect.Effect<number, CommandFailure> => {
  const count = Number(flag ?? /-(\d+)x[a-z]/i.exec(name)?.[1] ?? 1)
  return Number.isInteger(count) && count >= 1
    ? Effect.succeed(count)
    : fail(`--gpus is "${flag}" but must be a whole number from 1 on`)
}
