import { RollingCount } from "../../core/RollingCount.ts"

export interface RetryBudgetOptions {
  /** Retries may be this share of the requests in the window. */
  readonly retryShare: number
  /** Allowed whatever the share, so that a quiet gateway retries too. */
  readonly retriesPerSecondMin: number
}

const windowS = 10

/** Keeps retries from doubling the load of a fleet that fails because of its load. */
export class RetryBudget {
  private readonly options: () => RetryBudgetOptions
  private readonly requests = new RollingCount(windowS)
  private readonly retries = new RollingCount(windowS)

  /** Asked at each retry, since settings may change. */
  constructor(options: () => RetryBudgetOptions) {
    this.options = options
  }

  /** A request has come. */
  earn(nowS: number): void {
    this.requests.add(nowS)
  }

  /** False: no retry is left now. */
  spend(nowS: number): boolean {
    const { retriesPerSecondMin, retryShare } = this.options()
    const allowed = retryShare * this.requests.total(nowS) + retriesPerSecondMin * windowS
    if (this.retries.total(nowS) + 1 > allowed) return false
    this.retries.add(nowS)
    return true
  }
}
