import type { PodId } from "./Pod.ts"

/** One number that a policy works out for each candidate. */
export interface ReasonColumn {
  /** Name in JSON; ends in `S` when the unit is seconds. */
  readonly key: string
  /** Name for people. */
  readonly title: string
  /** "s" for seconds, "x" for a factor, "" for a score or a count. */
  readonly unit: "s" | "x" | ""
  /** Of a score in the sum. */
  readonly weight?: number
}

/** Why a policy decides as it does. Made for people, so unlike a pick it may allocate. */
export interface PolicyReasons {
  /** The row that `pick` would return in the same state with the same random numbers; -1: none. */
  readonly row: number
  /** One sentence without its full stop. */
  readonly why: string
  readonly columns: ReadonlyArray<ReasonColumn>
  /** By candidate's row: a number for each column. */
  readonly values: ReadonlyMap<number, Float64Array>
}

/**
 * Why a pod can't get the request. too-short: it takes no request of that length, and another one does. filtered: the
 * policy's own filters refuse it.
 */
export type Exclusion = "not-accepting" | "breaker-open" | "other-model" | "too-short" | "filtered"

export interface PodExplanation {
  readonly id: PodId
  /** Undefined: it is a candidate. */
  readonly excluded: Exclusion | undefined
  /** Prompt tokens whose KV the pod probably holds. */
  readonly hitTokens: number
  readonly uncachedTokens: number
  /** Requests of ours on it before and after their first token. */
  readonly prefilling: number
  readonly decoding: number
  /** Share of the picks that it may get; less than 1 during its slow start. */
  readonly pickShare: number
  /** It gave no first token for long, so it is passed over while there are others. */
  readonly stalled: boolean
  /** By column key; empty when it is no candidate. */
  readonly values: Readonly<Record<string, number>>
}

/** What a pick would do now and why. Nothing is reserved by it. */
export interface PickExplanation {
  readonly policy: string
  readonly model: string
  /** As estimated from the text. */
  readonly promptTokens: number
  readonly expectedOutputTokens: number
  /** Undefined: it would be refused, or the policy can't tell without deciding. */
  readonly picked: PodId | undefined
  readonly predictedTtftS: number | undefined
  /** Why the request would wait at the gateway before it goes there. Undefined: it would not. */
  readonly waits?: string | undefined
  readonly why: string
  readonly columns: ReadonlyArray<ReasonColumn>
  readonly pods: ReadonlyArray<PodExplanation>
}
