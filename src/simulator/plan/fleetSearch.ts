/** Where a search for the smallest fleet came to. */
export interface FleetFound {
  /** Undefined: no fleet up to the largest allowed holds. */
  readonly pods: number | undefined
  /** Smaller fleets that held although a larger one did not, so that they can't be relied on; ascending. */
  readonly lucky: ReadonlyArray<number>
}

/** So many larger fleets must hold too before one is the answer. */
export const CONFIRMING_FLEETS = 2

/**
 * Yields the pod counts to try, each once, and is told whether a fleet of that size holds the objective.
 *
 * More pods usually hold it better, but not always: a policy may spread what it kept together before. So the answer is
 * the smallest fleet from which on every larger one that was tried holds, where its two next larger ones are always
 * tried and the one below it fails. Doubling finds a fleet that holds, bisection the edge below it; when a larger one
 * fails after all, the search goes on above that one.
 */
export const fleetSearch = function*(podsMax: number): Generator<number, FleetFound, boolean> {
  const tried = new Map<number, boolean>()
  const holds = function*(pods: number): Generator<number, boolean, boolean> {
    const known = tried.get(pods)
    if (known !== undefined) return known
    const answer = yield pods
    tried.set(pods, answer)
    return answer
  }

  let failing = 0
  for (;;) {
    let holding = failing + 1
    for (let stride = 1; !(yield* holds(holding)); stride *= 2) {
      if (holding === podsMax) return { pods: undefined, lucky: luckyOf(tried, podsMax) }
      failing = holding
      // From 1 on this doubles; above a fleet that failed late it starts in small steps again.
      holding = Math.min(podsMax, holding + stride)
    }
    while (holding - failing > 1) {
      const middle = Math.floor((failing + holding) / 2)
      if (yield* holds(middle)) holding = middle
      else failing = middle
    }
    const last = Math.min(podsMax, holding + CONFIRMING_FLEETS)
    for (let pods = holding + 1; pods <= last && (yield* holds(pods));) pods++
    const failedAbove = Math.max(
      0,
      ...[...tried].filter(([pods, held]) => !held && pods > holding).map(([pods]) => pods)
    )
    if (failedAbove === 0) return { pods: holding, lucky: luckyOf(tried, holding) }
    if (failedAbove === podsMax) return { pods: undefined, lucky: luckyOf(tried, podsMax) }
    failing = failedAbove
  }
}

const luckyOf = (tried: ReadonlyMap<number, boolean>, below: number): ReadonlyArray<number> =>
  [...tried].filter(([pods, held]) => held && pods < below).map(([pods]) => pods).sort((one, other) => one - other)
