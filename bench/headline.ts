import { cpus } from "node:os"
import { policyNames } from "../src/policies/registry.ts"
import type { BenchOptions } from "./Bench.ts"
import { type Flags, namesOf, numberOf } from "./flags.ts"
import { Arm, type LiveStage } from "./headline/Arm.ts"
import { compare, type ComparedStage, type Comparison, tableOf } from "./headline/comparison.ts"
import { predicted } from "./headline/predicted.ts"
import { PODS, PRESET } from "./headline/scale.ts"
import { type BenchStage, benchStages } from "./headline/stages.ts"
import { stageResult } from "./headline/StageResult.ts"

export const name = "headline"
export const claim =
  "llm-d's published ladder through the real gateway and 8 emulated pods comes out as published, and within 15 % of " +
  "what the simulator says of the same run"

const POLICIES = "round-robin,llm-d-blend-lru,marginal-cost"
const SEED = 7
/** Ports of the arms' pods lie so far apart. */
const PORT_STEP = 16

interface HeadlineResult {
  /** Emulated seconds in a real one. Every time below is in emulated seconds but `pathMs`. */
  readonly speed: number
  readonly pods: number
  readonly hardware: string
  /** Share of each stage's published length. */
  readonly stageShare: number
  /** Real milliseconds from the client to an idle engine and back; the simulator got the same. */
  readonly pathMs: number
  readonly wallSeconds: number
  readonly agrees: boolean
  readonly stages: ReadonlyArray<Comparison>
}

interface LiveRun {
  readonly stage: BenchStage
  readonly arm: Arm
  readonly live: LiveStage
  readonly cpuShare: number
}

export const flags = {
  rates: { takes: "20,40", help: "stages of the ladder, by their requests a second" },
  speed: { takes: "N", help: "times as fast as the hardware; lower is nearer to the simulator and takes longer" },
  policies: { takes: "NAMES", help: `one gateway each; default ${POLICIES}` },
  share: { takes: "0.5", help: "of each stage's published length" }
} satisfies Flags
type Options = BenchOptions<typeof flags>

export const run = async (options: Options): Promise<HeadlineResult> => {
  const { policies, rates, share, speed } = settingsOf(options)
  const stages = benchStages(rates, SEED, share)
  const startedMs = performance.now()
  const podPort = 20_000 + Math.floor(Math.random() * 8000)
  const arms = policies.map((policy) => new Arm(policy, speed))
  const runs: Array<LiveRun> = []
  // No policy has a longer way than another, so the least disturbed arm tells it.
  let pathS = Number.POSITIVE_INFINITY
  try {
    for (const [index, arm] of arms.entries()) {
      await arm.start(podPort + index * PORT_STEP)
      const armPathS = await arm.pathS()
      arm.pause()
      options.progress(`${arm.policy}: ${(armPathS * 1000).toFixed(2)} ms to an idle engine and back`)
      pathS = Math.min(pathS, armPathS)
    }
    for (const stage of stages) {
      for (const arm of arms) runs.push(await runStage(stage, arm, speed, options))
    }
  } finally {
    await Promise.all(arms.map((arm) => arm.stop()))
  }
  const simulated = new Map(policies.map((policy) => [policy, predicted(stages, policy, speed, pathS)]))
  const compared = runs.filter(({ stage }) => !stage.warmsUp).map(({ arm, cpuShare, live, stage }) =>
    compare(
      {
        ratePerS: stage.ratePerS,
        policy: arm.policy,
        published: stage.published,
        live: liveResult(live, speed),
        simulated: simulated.get(arm.policy)![stages.indexOf(stage)]!,
        cpuShare,
        failed: live.failures.length,
        speed
      } satisfies ComparedStage
    )
  )
  return {
    speed,
    pods: PODS,
    hardware: PRESET,
    stageShare: share,
    pathMs: pathS * 1000,
    wallSeconds: (performance.now() - startedMs) / 1000,
    agrees: compared.every(({ agrees }) => agrees),
    stages: compared
  }
}

/** The answer for people. */
export const show = ({ pathMs, speed, stageShare, stages, wallSeconds }: HeadlineResult): string =>
  [
    `${PODS} emulated pods of ${PRESET}, ${speed} times as fast; all seconds are the pods', unscaled. Stages have ` +
    `${stageShare * 100} % of their published length.`,
    `To an idle engine and back: ${pathMs.toFixed(2)} real ms. The bench took ${wallSeconds.toFixed(0)} s.`,
    "",
    tableOf(stages)
  ].join("\n")

const settingsOf = ({ quick, values }: Options) => ({
  rates: (values.rates ?? (quick ? "40" : "20,40,60")).split(",").map((rate) => numberOf("rates", rate)),
  speed: numberOf("speed", values.speed ?? (quick ? "6" : "5")),
  share: Math.min(1, numberOf("share", values.share ?? (quick ? "0.35" : "1"))),
  policies: namesOf("policies", values.policies ?? POLICIES, policyNames)
})

const runStage = async (stage: BenchStage, arm: Arm, speed: number, options: Options): Promise<LiveRun> => {
  await arm.resume()
  const before = busyAndAllMs()
  const live = await arm.run(stage)
  const after = busyAndAllMs()
  arm.pause()
  const { failures } = live
  if (live.answers.length === 0) throw new Error(`no request was answered: ${failures[0]}`)
  const { outputTokensPerSecond, ttftMean, ttftP50 } = liveResult(live, speed)
  const cpuShare = (after.busy - before.busy) / (after.all - before.all)
  options.progress(
    `${stage.ratePerS} req/s${stage.warmsUp ? " (warm-up)" : ""}, ${arm.policy}: TTFT mean ${ttftMean.toFixed(3)} s, ` +
      `p50 ${ttftP50.toFixed(3)} s, ${outputTokensPerSecond.toFixed(0)} output tokens/s, cores ` +
      `${(cpuShare * 100).toFixed(0)} % busy${
        failures.length === 0 ? "" : `, ${failures.length} failed: ${failures[0]}`
      }`
  )
  return { stage, arm, live, cpuShare }
}

const liveResult = ({ answers, startedMs }: LiveStage, speed: number) => {
  const unscaledS = (ms: number) => ms / 1000 * speed
  return stageResult(answers.map(({ endMs, firstTokenMs, sentMs, ...counts }) => ({
    ...counts,
    arrivedS: unscaledS(sentMs - startedMs),
    ttftS: unscaledS(firstTokenMs - sentMs),
    endS: unscaledS(endMs - startedMs)
  })))
}

/** Of all cores since the machine started. */
const busyAndAllMs = (): { readonly busy: number; readonly all: number } => {
  let idle = 0
  let all = 0
  for (const { times } of cpus()) {
    idle += times.idle
    all += times.idle + times.user + times.nice + times.sys + times.irq
  }
  return { busy: all - idle, all }
}
