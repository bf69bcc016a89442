interface RestartLimits {
  readonly restartsMax: number
  readonly restartWindowMs: number
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
}

/** Counts an actor's crashes within a sliding window. */
export class RestartBudget {
  private readonly limits: RestartLimits
  private crashedAtMs: ReadonlyArray<number> = []

  constructor(limits: RestartLimits) {
    this.limits = limits
  }

  /** Notes a crash and returns how long to wait before the restart, doubling within the window; undefined: spent. */
  crashed(nowMs: number): number | undefined {
    const { restartsMax, restartWindowMs, backoffMinMs, backoffMaxMs } = this.limits
    this.crashedAtMs = [...this.crashedAtMs.filter((atMs) => nowMs - atMs < restartWindowMs), nowMs]
    if (this.crashedAtMs.length > restartsMax) return undefined
    return Math.min(backoffMaxMs, backoffMinMs * 2 ** (this.crashedAtMs.length - 1))
  }
}
