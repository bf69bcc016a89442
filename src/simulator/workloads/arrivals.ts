import type { SeededRandom } from "../SeededRandom.ts"
import type { PlannedRequest } from "../Workload.ts"

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

/** Ids from `first` on, for segments that nobody shares. */
export const idsFrom = (first: number): () => number => {
  let id = first
  return () => id++
}
