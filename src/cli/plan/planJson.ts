import type { PlanReport } from "./PlanReport.ts"
import { savedPods } from "./PlanReport.ts"

const DIGITS = 6

/** The plan as one line of JSON: times in seconds; null where there is no answer, no condition or nothing to compare. */
export const planJson = (report: PlanReport): string => {
  const { gpusPerPod, hardware, load, podsMax, policies, seed, share, slo, trace, workload } = report
  const condition = (seconds: number): number | null => Number.isFinite(seconds) ? seconds : null
  return JSON.stringify({
    workload,
    trace: trace ?? null,
    load: `${load}`,
    seed,
    hardware,
    gpusPerPod,
    slo: { ttft: condition(slo.ttftS), tpot: condition(slo.tpotS) },
    share,
    podsMax,
    policies: policies.map((plan) => ({
      policy: plan.policy,
      pods: plan.pods ?? null,
      gpus: plan.pods === undefined ? null : plan.pods * gpusPerPod,
      podsSaved: savedPods(report, plan) ?? null,
      lucky: plan.lucky,
      points: plan.points.map(({ holds, pods, summary }) => ({ pods, holds, ...summary }))
    }))
  }, (_, value: unknown) => typeof value === "number" ? Number(value.toPrecision(DIGITS)) : value)
}
