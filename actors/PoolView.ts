import type { PodAddress } from "../src/core/Pod.ts"

/** One entry of a pod's `GET /v1/models`, kept as it came. */
export type ModelCard = { readonly id: string } & Readonly<Record<string, unknown>>

export type PodHealth = "starting" | "healthy" | "unhealthy" | "draining"

/** What the pool knows of a pod, for people and for /readyz. */
export interface PodStatus {
  readonly address: PodAddress
  readonly health: PodHealth
  /** Why it is not healthy, in words. */
  readonly reason: string | undefined
  readonly models: ReadonlyArray<ModelCard>
  readonly version: string | undefined
}

/** A read-only view that the pool keeps current; reading it sends no message. */
export interface PoolView {
  readonly pods: () => ReadonlyArray<PodStatus>
  /** Union over healthy pods, first pod's card wins, ordered by id. */
  readonly models: () => ReadonlyArray<ModelCard>
}
