import type { PolicyReasons } from "./Explanation.ts"
import type { PodTable } from "./PodTable.ts"
import type { RequestFeatures } from "./RequestFeatures.ts"

/** What a policy may look at. One object, reused for every pick. */
export interface PickContext {
  readonly table: PodTable
  request: RequestFeatures
  /** Rows that may take the request; only the first `candidateCount` entries count. Filters compact it in place. */
  readonly candidates: Uint32Array
  candidateCount: number
  /** By row: prompt tokens whose KV that pod probably holds, contiguous from the first. */
  readonly hitTokens: Float64Array
  /** Expected output tokens of this request (0 when it does not generate). */
  outputTokens: number
  nowS: number
  /** Tokens of prefixes that others may come back for and that the request, if it is a giant, would push out there. */
  readonly flushTokens: (row: number) => number
  /** Uniform in [0, 1). */
  readonly random: () => number
}

/** Chooses one of the candidates. Allocates nothing; same context and random numbers, same answer. */
export interface Policy {
  /** Equals the `type` in the configuration and the file name. */
  readonly type: string
  /** A row out of `context.candidates` (at least one is there), or -1 when a filter refused them all. */
  readonly pick: (context: PickContext) => number
  /** True: the policy remembers nothing of a pick, so the request may be sent back to wait after it. */
  readonly isRevocable?: boolean
  /**
   * What `pick` would do in this state and why; changes nothing but the context's candidates and random numbers.
   * Left out by policies that can't tell without deciding.
   */
  readonly explain?: (context: PickContext) => PolicyReasons
}
