import { SeededRandom } from "../SeededRandom.ts"
import type { PlannedRequest, Workload, WorkloadOptions } from "../Workload.ts"
import { idsFrom, openLoopWorkload, poisson } from "./arrivals.ts"

export const name = "b2b"

const TENANTS = 150
const QUESTIONS = 5
const SYSTEM_TOKENS = 6000
const QUESTION_TOKENS = 1200

/**
 * A business service: 150 tenants with a system prompt of 6,000 tokens each and five questions of 1,200 tokens that
 * come again and again, drawn at random; answers of about 1,000 tokens. `load` is requests a second, at a steady rate.
 * Source: the prompts of llm-d's "KV-cache wins you can see", without its stages.
 */
export const make = ({ durationS = 300, load, seed }: WorkloadOptions): Workload => {
  const random = new SeededRandom(seed)
  const draw = random.fork(0)
  const id = idsFrom(TENANTS * (1 + QUESTIONS))
  const request = (afterS: number): PlannedRequest => {
    const tenant = draw.below(TENANTS)
    return {
      afterS,
      prompt: [
        { id: tenant, tokens: SYSTEM_TOKENS },
        { id: TENANTS + tenant * QUESTIONS + draw.below(QUESTIONS), tokens: QUESTION_TOKENS }
      ],
      output: { id: id(), tokens: draw.logNormal(1000, 0.3, 100, 3000) },
      outputTokensMax: undefined,
      sessionHash: 0
    }
  }
  return openLoopWorkload(name, durationS, () => poisson(random.fork(1), load, durationS, request))
}
