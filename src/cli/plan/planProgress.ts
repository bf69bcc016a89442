import { Effect } from "effect"
import type { RunSummary } from "../../simulator/Measurements.ts"
import type { PlanProgress } from "../../simulator/plan/planFleets.ts"
import type { CommandFailure } from "../failure.ts"
import { progressBar } from "../progressBar.ts"
import type { PlanJob } from "./planMessages.ts"
import type { SimulateFleet } from "./planThreads.ts"
import { counted } from "./shownNumbers.ts"

interface PlanProgressBar {
  /** Simulates a fleet and counts it as under way meanwhile. */
  readonly watch: (job: PlanJob, simulate: SimulateFleet) => Effect.Effect<RunSummary, CommandFailure>
  readonly update: (progress: PlanProgress) => void
  readonly end: () => void
}

/** One bar for all simulations of a plan. Its share never falls, though more of them may turn out to be needed. */
export const planProgress = (title: string): PlanProgressBar => {
  const bar = progressBar(title)
  /** Requests that ended in the simulations under way. */
  const running = new Map<PlanJob, number>()
  let known: PlanProgress = { done: 0, expected: 0 }
  let requests = 0
  let shown = 0
  const show = ({ pods, policy }: PlanJob) => {
    const under = requests === 0 ? 0 : [...running.values()].reduce((sum, ended) => sum + ended / requests, 0)
    if (known.expected > 0) shown = Math.max(shown, Math.min(1, (known.done + under) / known.expected))
    bar.show(shown, `${counted(known.done, "fleet")} simulated, ${policy} with ${counted(pods, "pod")}`)
  }
  return {
    watch: (job, simulate) =>
      simulate(job, (ended) => {
        running.set(job, ended)
        show(job)
      }).pipe(
        Effect.tap((summary) =>
          Effect.sync(() => {
            requests = Math.max(requests, summary.requests + summary.refused)
            show(job)
          })
        ),
        Effect.ensuring(Effect.sync(() => running.delete(job)))
      ),
    update: (progress) => {
      known = progress
    },
    end: bar.end
  }
}
