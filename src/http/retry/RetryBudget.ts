import { RollingCount } from "../../core/RollingCount.ts"

export interface RetryBudgetOptions {
  /** Retries may be this share of the requests in the window. */
  readonly share: number
  /** Allowed whatever the share, so that a quiet gateway retries too. */
  readonly perSecondMin: number
}

const windowS = 10

/** Keeps retries from doubling the load of a fleet that fails because of its load. */
export class RetryBudget {
  private readonly options: RetryBudgetOptions
  private readonly requests = new RollingCount(windowS)
  private readonly retries = new RollingCount(windowS)

  constructor(options: RetryBudgetOptions) {
    this.options = options
  }

  /** A request has come. */
  earn(nowS: number): void {
    this.requests.add(nowS)
  }

  /** False: no retry is left now. */
  spend(nowS: number): boolean {
    const { perSecondMin, share } = this.options
    if (this.retries.total(nowS) + 1 > share * this.requests.total(nowS) + perSecondMin * windowS) return false
    this.retries.add(nowS)
    return true
  }
}
