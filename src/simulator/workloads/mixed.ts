import { SeededRandom } from "../SeededRandom.ts"
import type { PlannedRequest, Workload, WorkloadOptions } from "../Workload.ts"
import { idsFrom, openLoopWorkload, poisson } from "./arrivals.ts"
import { session, type Turn } from "./session.ts"

export const name = "mixed"

const LONG_SHARE = 0.1
const LONG_QUESTIONS = 3
const SHORT_PROMPTS = 20

/**
 * Short and long side by side: nine in ten clients ask once, about 600 tokens after one of 20 system prompts of 400;
 * one in ten brings a document of about 20,000 tokens and asks about it three times, 10 s apart. Answers have about
 * 300 tokens. `load` is requests a second.
 */
export const make = ({ durationS = 300, load, seed }: WorkloadOptions): Workload => {
  const random = new SeededRandom(seed)
  const draw = random.fork(0)
  const id = idsFrom(SHORT_PROMPTS)
  const answer = () => ({ id: id(), tokens: draw.logNormal(300, 0.8, 10, 2000) })
  const start = (afterS: number): PlannedRequest => {
    if (draw.uniform() >= LONG_SHARE) {
      const question = { id: id(), tokens: draw.logNormal(600, 1, 20, 6000) }
      return session(afterS, 0, [{ id: draw.below(SHORT_PROMPTS), tokens: 400 }], [
        { question, answer: answer(), thinkS: 0 }
      ])
    }
    const turns = Array.from({ length: LONG_QUESTIONS }, (): Turn => ({
      question: { id: id(), tokens: draw.logNormal(100, 0.5, 10, 500) },
      answer: answer(),
      thinkS: draw.exponential(10)
    }))
    return session(afterS, id(), [{ id: id(), tokens: draw.logNormal(20_000, 0.6, 6000, 80_000) }], turns)
  }
  const requestsPerClient = 1 + LONG_SHARE * (LONG_QUESTIONS - 1)
  return openLoopWorkload(name, durationS, () => poisson(random.fork(1), load / requestsPerClient, durationS, start))
}
