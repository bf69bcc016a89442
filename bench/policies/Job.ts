import type { RunSummary } from "../../src/simulator/Measurements.ts"
import type { Point } from "./points.ts"

/** One run, for a process that does nothing else. */
export interface Job {
  readonly point: Point
  readonly policy: string
  readonly seed: number
  readonly pods: number
  /** The trace's file for a point that needs one. */
  readonly traceFile: string | undefined
}

export type JobResult = { readonly summary: RunSummary } | { readonly fault: string }
