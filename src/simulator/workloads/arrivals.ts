import type { SeededRandom } from "../SeededRandom.ts"
import type { PlannedRequest, Stage, Workload } from "../Workload.ts"

/** Requests at the times of a Poisson process until `durationS`. */
export const poisson = function*(
  random: SeededRandom,
  ratePerS: number,
  durationS: number,
  request: (afterS: number) => PlannedRequest
): Generator<PlannedRequest> {
  for (let atS = random.exponential(1 / ratePerS); atS < durationS; atS += random.exponential(1 / ratePerS)) {
    yield request(atS)
  }
}

/** Share of an open loop's time in which caches and queues only get under way. */
const WARM_UP_SHARE = 0.2

/** A workload of one stage, whose clients come when they come, whatever the answers do. */
export const openLoopWorkload = (name: string, durationS: number, arrivals: () => Stage["arrivals"]): Workload => ({
  name,
  pauseS: 0,
  stages: [() => ({ arrivals: arrivals(), warmUpS: WARM_UP_SHARE * durationS, lastAskS: undefined })]
})

/** Ids from `first` on, for segments that nobody shares. */
export const idsFrom = (first: number): () => number => {
  let id = first
  return () => id++
}
