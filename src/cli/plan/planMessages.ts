import type { EngineConstants } from "../../core/EngineConstants.ts"
import type { RunSummary, Slo } from "../../simulator/Measurements.ts"
import type { WorkloadSource } from "../workloadChoice.ts"

/** What all simulations of a plan have in common; the first message to a thread. */
export interface PlanWorld {
  readonly source: WorkloadSource
  readonly constants: EngineConstants
  readonly slo: Slo
}

/** One fleet to simulate; the thread answers it before it gets the next. */
export interface PlanJob {
  readonly policy: string
  readonly pods: number
}

export type PlanRequest =
  | { readonly _tag: "open"; readonly world: PlanWorld }
  | { readonly _tag: "simulate"; readonly job: PlanJob }

export type PlanReply =
  | { readonly _tag: "progress"; readonly ended: number }
  | { readonly _tag: "done"; readonly summary: RunSummary }
  | { readonly _tag: "failed"; readonly fault: string }
