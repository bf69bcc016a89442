import { SeededRandom } from "../SeededRandom.ts"
import type { Workload, WorkloadOptions } from "../Workload.ts"
import { idsFrom } from "./arrivals.ts"
import { session } from "./session.ts"
import { closedLoop, sessionIds } from "./users.ts"

export const name = "reason"

const SYSTEM_TOKENS = 500

/**
 * Reasoning, bound by decode: a system prompt of 500 tokens for all, questions of about 400 tokens, answers of about
 * 4,000 with a long tail, 2 s between an answer and the next question. `load` is how many users there are at once.
 */
export const make = ({ durationS = 600, load, seed }: WorkloadOptions): Workload => {
  const random = new SeededRandom(seed)
  return {
    name,
    pauseS: 0,
    stages: [() =>
      closedLoop(random, load, 60, durationS, (draw, user, round, afterS, after) => {
        const id = idsFrom(sessionIds(user, round))
        const question = { id: id(), tokens: draw.logNormal(400, 0.8, 30, 4000) }
        const answer = { id: id(), tokens: draw.logNormal(4000, 0.9, 200, 20_000) }
        const thinkS = draw.exponential(2)
        return session(round === 0 ? afterS : thinkS, id(), [{ id: 0, tokens: SYSTEM_TOKENS }], [{
          question,
          answer,
          thinkS
        }], after)
      })]
  }
}
