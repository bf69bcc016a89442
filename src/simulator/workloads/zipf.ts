import { SeededRandom } from "../SeededRandom.ts"
import type { PlannedRequest, Workload, WorkloadOptions } from "../Workload.ts"
import { idsFrom, openLoopWorkload, poisson } from "./arrivals.ts"
import { zipfOf } from "./popularity.ts"

export const name = "zipf"

const PREFIXES = 1000
const EXPONENT = 0.9

/**
 * Prefixes of unequal popularity: 1,000 of about 4,000 tokens, drawn by Zipf's law with exponent 0.9, so that the
 * most popular one gets a tenth of the traffic and all of them together exceed the fleet's KV cache. Each is followed
 * by about 300 fresh tokens and answered with about 250. `load` is requests a second, at a steady rate.
 */
export const make = ({ durationS = 300, load, seed }: WorkloadOptions): Workload => {
  const random = new SeededRandom(seed)
  const draw = random.fork(0)
  const id = idsFrom(PREFIXES)
  const prefixTokens = Array.from({ length: PREFIXES }, () => draw.logNormal(4000, 0.6, 500, 16_000))
  const rank = zipfOf(PREFIXES, EXPONENT)
  const request = (afterS: number): PlannedRequest => {
    const prefix = rank(draw)
    return {
      afterS,
      prompt: [
        { id: prefix, tokens: prefixTokens[prefix]! },
        { id: id(), tokens: draw.logNormal(300, 0.6, 20, 2000) }
      ],
      output: { id: id(), tokens: draw.logNormal(250, 0.7, 10, 1500) },
      outputTokensMax: undefined,
      sessionHash: 0
    }
  }
  return openLoopWorkload(name, durationS, () => poisson(random.fork(1), load, durationS, request))
}
