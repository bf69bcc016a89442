import { RollingCount } from "../../core/RollingCount.ts"

export interface RetryBudgetOptions {
  /** Each request brings this part of a retry. */
  readonly retryShare: number
  /** So many retries are there at the start, and can be saved up however few requests come. */
  readonly retryBurst: number
}

/** What the requests of so many seconds brought can be saved up. */
const windowS = 10

/**
 * Keeps retries from doubling the load of a fleet that fails because of its load: since the start there are never more
 * than `retryBurst`, and `retryShare` of the requests. What requests without trouble bring is saved for a pod's death,
 * which makes many fail at once.
 */
export class RetryBudget {
  private readonly options: () => RetryBudgetOptions
  private readonly requests = new RollingCount(windowS)
  /** Undefined: nobody has asked yet. */
  private saved: number | undefined

  /** Asked at each retry, since settings may change. */
  constructor(options: () => RetryBudgetOptions) {
    this.options = options
  }

  /** A request has come. */
  earn(nowS: number): void {
    const { retryBurst, retryShare } = this.options()
    this.requests.add(nowS)
    const savedMax = Math.max(retryBurst, retryShare * this.requests.total(nowS))
    this.saved = Math.min(savedMax, (this.saved ?? retryBurst) + retryShare)
  }

  /** False: no retry is left now. */
  spend(): boolean {
    const saved = this.saved ?? this.options().retryBurst
    if (saved < 1) return false
    this.saved = saved - 1
    return true
  }
}
