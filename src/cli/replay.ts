import { parseDecisions } from "../simulator/traces/decisions.ts"
import { type Observed, observedSummary, replayWarnings } from "../simulator/traces/observed.ts"
import type { WorkloadSource } from "./workloadChoice.ts"

/** What a decision log says happened, to be printed beside what would have. */
export interface Replay {
  readonly observed: Observed
  readonly warnings: ReadonlyArray<string>
}

/** Call it once the workload was made, for a log that can't be read throws. */
export const replayOf = ({ options, trace }: WorkloadSource): Replay => {
  const log = parseDecisions(trace?.text ?? "")
  const observed = observedSummary(log, options)
  return { observed, warnings: replayWarnings(log, observed) }
}

/** The logged policy first: how far its simulation is from what was observed says how far to trust the others. */
export const replayedPolicies = ({ observed }: Replay, asked: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...new Set([observed.policy, ...asked])
]
