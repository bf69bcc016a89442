import type { DecisionLog } from "./DecisionLog.ts"
import type { MetricRegistry } from "./MetricRegistry.ts"

/** What the log of decisions had to leave out, read when the page is written. */
export const watchDecisionLog = (registry: MetricRegistry, log: Pick<DecisionLog, "lost">): void => {
  registry.collected(
    "warmroute_decisions_lost_total",
    "Sampled decisions that are in no log, by why: full (more than may wait for a flush), unwritten (a failing file).",
    "counter",
    ["why"],
    (emit) => {
      const { full, unwritten } = log.lost
      emit(["full"], full)
      emit(["unwritten"], unwritten)
    }
  )
}
