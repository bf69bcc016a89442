import type { EngineConstants } from "../../core/EngineConstants.ts"
import type { Slo } from "../../simulator/Measurements.ts"
import type { FleetPoint, PolicyPlan } from "../../simulator/plan/planFleets.ts"
import { counted, shownCount, shownSeconds, shownShare } from "./shownNumbers.ts"
import { sloWords } from "./sloText.ts"

/** What `warmroute plan` found, and for what. */
export interface PlanReport {
  /** Of the workload, or of the trace's format. */
  readonly workload: string
  /** Undefined: not a trace. */
  readonly trace: string | undefined
  readonly load: number
  /** What `load` counts. */
  readonly loadUnit: string
  readonly durationS: number | undefined
  readonly seed: number
  readonly hardware: string
  readonly constants: EngineConstants
  readonly gpusPerPod: number
  readonly slo: Slo
  readonly share: number
  readonly podsMax: number
  readonly policies: ReadonlyArray<PolicyPlan>
}

/** Others are compared with it, since it is what a plain load balancer does. */
const BASELINE = "round-robin"

/** The simulated fleet that is the answer; undefined when none holds. */
export const answerOf = ({ points, pods }: PolicyPlan): FleetPoint | undefined =>
  points.find((point) => point.pods === pods)

/** The fleet with the greatest share inside the objective, the smallest of equals. */
export const bestOf = ({ points }: PolicyPlan): FleetPoint =>
  points.reduce((best, point) => point.summary.sloShare > best.summary.sloShare ? point : best)

/** The fleet to look at: the answer, or what came nearest. */
export const shownOf = (plan: PolicyPlan): FleetPoint => answerOf(plan) ?? bestOf(plan)

/** Pods that the policy needs less than round robin; undefined when one of them has no answer. */
export const savedPods = (report: PlanReport, plan: PolicyPlan): number | undefined => {
  const baseline = report.policies.find(({ policy }) => policy === BASELINE)?.pods
  return baseline === undefined || plan.pods === undefined ? undefined : baseline - plan.pods
}

/** What the policy saves, for a cell of a table; empty for the baseline itself and without one. */
export const savingText = (report: PlanReport, plan: PolicyPlan): string => {
  const baseline = report.policies.find(({ policy }) => policy === BASELINE)
  if (plan.policy === BASELINE || baseline === undefined || plan.pods === undefined) return ""
  if (baseline.pods === undefined) return `${BASELINE} holds it with none`
  const saved = baseline.pods - plan.pods
  if (saved === 0) return `as many as ${BASELINE}`
  const share = Math.round(100 * Math.abs(saved) / baseline.pods)
  const gpus = counted(Math.abs(saved) * report.gpusPerPod, "GPU")
  return `${counted(Math.abs(saved), "pod")} (${gpus}, ${share} %) ${saved > 0 ? "fewer" : "more"} than ${BASELINE}`
}

/** What holding the objective means, as a sentence. */
export const objectiveText = ({ share, slo }: PlanReport): string =>
  `${sloWords(slo)} for ${shownShare(share)} of requests`

/** What the clients ask. */
export const loadText = ({ durationS, load, loadUnit, policies, seed, trace, workload }: PlanReport): string => {
  const requests = policies[0]?.points.at(-1)?.summary
  return [
    trace === undefined ? workload : `${trace} (${workload})`,
    `${load} ${loadUnit}`,
    ...(durationS === undefined ? [] : [`${durationS} s`]),
    `${shownCount((requests?.requests ?? 0) + (requests?.refused ?? 0))} requests measured`,
    `seed ${seed}`
  ].join(", ")
}

export const hardwareText = ({ gpusPerPod, hardware }: PlanReport): string =>
  `${hardware}, ${counted(gpusPerPod, "GPU")} a pod`

/** When twice the pods gain less, more are said to be no help. */
const GAIN_SHARE = 0.001

/** What a reader must know besides the numbers: fleets that held by luck, and objectives out of reach. */
export const remarks = (report: PlanReport): ReadonlyArray<string> =>
  report.policies.flatMap((plan) => [
    ...(plan.lucky.length === 0
      ? []
      : [
        `${plan.policy}: ${plan.lucky.join(", ")} pods held it too, but a larger fleet did not, so they don't count.`
      ]),
    ...(plan.pods === undefined ? [outOfReach(report, plan)] : [])
  ])

const outOfReach = ({ constants, podsMax, policies }: PlanReport, plan: PolicyPlan): string => {
  const { pods, summary } = bestOf(plan)
  const largest = plan.points.at(-1)!
  const half = plan.points.findLast((point) => point.pods <= podsMax / 2)
  const isFlat = half !== undefined && largest.summary.sloShare - half.summary.sloShare < GAIN_SHARE
  const isBeaten = policies.some((other) => bestOf(other).summary.sloShare > summary.sloShare + GAIN_SHARE)
  return [
    `${plan.policy}: no fleet of up to ${counted(podsMax, "pod")} holds it. The best, ${counted(pods, "pod")}, has ${
      shownShare(summary.sloShare)
    } of requests inside (TTFT ${shownSeconds(summary.ttftMean)} mean, ${shownSeconds(summary.ttftP99)} P99; TPOT ${
      shownSeconds(summary.tpotMean)
    } mean).`,
    ...(summary.refused === 0
      ? []
      : [
        `${counted(summary.refused, "request")} of ${
          shownCount(summary.requests + summary.refused)
        } fit no pod: it has ${shownCount(constants.kvCapacityTokens)} tokens of KV.`
      ]),
    isFlat
      ? `Twice the pods gained nothing: ${
        isBeaten
          ? "the policy does not spread such a load, another does better."
          : "some prompts may be too long for the TTFT even on an idle pod. Try a lower --share."
      }`
      : "Try more with --pods-max, or a lower --share."
  ].join(" ")
}
