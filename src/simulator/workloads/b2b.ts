import { SeededRandom } from "../SeededRandom.ts"
import type { PlannedRequest, Workload, WorkloadOptions } from "../Workload.ts"
import { idsFrom, poisson } from "./arrivals.ts"

export const name = "b2b"

const TENANTS = 150
const SYSTEM_TOKENS = 6000

/**
 * A business service: 150 tenants with a system prompt of 6,000 tokens each, and questions that come only once, about
 * 1,200 tokens with answers of about 1,000. `load` is requests a second, at a steady rate.
 * Shape: llm-d's shared-prefix benchmark, with fresh questions in place of five that repeat.
 */
export const make = ({ durationS = 300, load, seed }: WorkloadOptions): Workload => {
  const random = new SeededRandom(seed)
  const draw = random.fork(0)
  const id = idsFrom(TENANTS)
  const request = (afterS: number): PlannedRequest => ({
    afterS,
    prompt: [
      { id: draw.below(TENANTS), tokens: SYSTEM_TOKENS },
      { id: id(), tokens: draw.logNormal(1200, 0.4, 200, 4000) }
    ],
    output: { id: id(), tokens: draw.logNormal(1000, 0.5, 50, 4000) },
    outputTokensMax: undefined,
    sessionHash: 0
  })
  return {
    name,
    pauseS: 0,
    stages: [() => ({
      arrivals: poisson(random.fork(1), load, durationS, request),
      warmUpS: durationS / 5,
      lastAskS: undefined
    })]
  }
}
