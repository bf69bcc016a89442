import { Data } from "effect"
import type { PodAddress } from "../core/Pod.ts"
import type { PodMetrics } from "./MetricsText.ts"

/** A pod did not say what it was asked. `what` is the path, `why` a sentence for people. */
export class PodProbeError extends Data.TaggedError("PodProbeError")<{ readonly what: string; readonly why: string }> {
  override get message(): string {
    return `${this.what}: ${this.why}`
  }
}

/** Asks a pod about itself. Every method rejects with PodProbeError and with nothing else. */
export interface PodProbe {
  readonly metrics: (address: PodAddress, timeoutMs: number) => Promise<PodMetrics>
  /** The entries of `GET /v1/models` with all their fields. */
  readonly models: (
    address: PodAddress,
    timeoutMs: number
  ) => Promise<ReadonlyArray<{ readonly id: string } & Readonly<Record<string, unknown>>>>
  /** True for 200, false for any other answer; a pod that can't be reached rejects. */
  readonly health: (address: PodAddress, timeoutMs: number) => Promise<boolean>
  /** undefined when the pod has no such route. */
  readonly version: (address: PodAddress, timeoutMs: number) => Promise<string | undefined>
}
