/** What can be wrong with a pod. `kill` ends in a restart with an empty cache; `hang` is SIGSTOP, then that. */
export type FaultKind = "kill" | "hang" | "reset" | "slow" | "garbage" | "flap"

export interface Fault {
  readonly kind: FaultKind
  readonly pods: ReadonlyArray<number>
  /** From the start of the load. */
  readonly startS: number
  readonly endS: number
}

export const POD_COUNT = 8

const everyPod = Array.from({ length: POD_COUNT }, (_, pod) => pod)

/** Two minutes; shorter runs have the same faults in less time. */
const PLAN_S = 120
const plan: ReadonlyArray<Fault> = [
  { kind: "kill", pods: [1], startS: 6, endS: 12 },
  { kind: "hang", pods: [2], startS: 16, endS: 28 },
  { kind: "reset", pods: [3], startS: 32, endS: 39 },
  { kind: "slow", pods: [4], startS: 42, endS: 51 },
  { kind: "garbage", pods: [5], startS: 54, endS: 61 },
  { kind: "flap", pods: [6], startS: 64, endS: 74 },
  { kind: "kill", pods: [7, 0], startS: 78, endS: 86 },
  { kind: "reset", pods: [1], startS: 80, endS: 85 },
  { kind: "kill", pods: everyPod, startS: 92, endS: 97 },
  { kind: "kill", pods: [4], startS: 106, endS: 110 }
]

/** The faults of a run of `durationS`. */
export const faultsOf = (durationS: number): ReadonlyArray<Fault> =>
  plan.map(({ endS, kind, pods, startS }) => ({
    kind,
    pods,
    startS: (startS * durationS) / PLAN_S,
    endS: (endS * durationS) / PLAN_S
  }))
