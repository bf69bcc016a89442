import type { PodAddress, PodId } from "../src/core/Pod.ts"

/** One entry of a pod's `GET /v1/models`, kept as it came. */
export type ModelCard = { readonly id: string } & Readonly<Record<string, unknown>>

/** The most tokens of a request, prompt and output; undefined of a card that does not say. */
export const maxModelLen = (card: ModelCard): number | undefined => {
  const tokens = card["max_model_len"]
  return typeof tokens === "number" && tokens > 0 ? tokens : undefined
}

export type PodHealth = "starting" | "healthy" | "unhealthy" | "draining"

/** What the pool knows of a pod, for people and for /readyz. */
export interface PodStatus {
  readonly address: PodAddress
  readonly health: PodHealth
  /** Why it is not healthy, or healthy and passed over, in words. */
  readonly reason: string | undefined
  readonly models: ReadonlyArray<ModelCard>
  readonly version: string | undefined
}

/** Whether requests at a pod may still hope. */
export interface PodSigns {
  /** A drain does not hide it. */
  readonly isUnhealthy: boolean
  /** It did not answer the last question: bytes of its answers to requests say that it lives. */
  readonly isInDoubt: boolean
  /** Looks at the pod that found it well; stands still while it gives no answer or a bad one. */
  readonly timesWell: number
}

/** A read-only view that the pool keeps current; reading it sends no message. */
export interface PoolView {
  readonly pods: () => ReadonlyArray<PodStatus>
  /** undefined of a pod that is not in the pool. */
  readonly signs: (id: PodId) => PodSigns | undefined
  /** Another pod that is healthy serves one of its models. */
  readonly hasOther: (id: PodId) => boolean
  /** Union over healthy pods, ordered by id; of several cards that with the longest context wins, then the first. */
  readonly models: () => ReadonlyArray<ModelCard>
}
