import { SeededRandom } from "../SeededRandom.ts"
import type { PlannedRequest, Workload, WorkloadOptions } from "../Workload.ts"
import { idsFrom, poisson } from "./arrivals.ts"
import { session, type Turn } from "./session.ts"

export const name = "chat"

const SYSTEM_PROMPTS = 5
const SYSTEM_TOKENS = 800
const TURNS_MEAN = 6

/**
 * People who chat: five system prompts of 800 tokens, about six turns a conversation, questions of about 120 and
 * answers of about 250 tokens, 20 s of reading and typing in between. Conversations start as a Poisson process;
 * `load` is requests a second once as many end as start. Lengths follow published chat traces (ShareGPT, WildChat).
 */
export const make = ({ durationS = 400, load, seed }: WorkloadOptions): Workload => {
  const random = new SeededRandom(seed)
  const draw = random.fork(0)
  const id = idsFrom(SYSTEM_PROMPTS)
  const start = (afterS: number): PlannedRequest => {
    const count = draw.logNormal(TURNS_MEAN, 0.7, 1, 30)
    const turns = Array.from({ length: count }, (): Turn => ({
      question: { id: id(), tokens: draw.logNormal(120, 1, 5, 3000) },
      answer: { id: id(), tokens: draw.logNormal(250, 0.8, 5, 2000) },
      thinkS: draw.exponential(20)
    }))
    return session(afterS, id(), [{ id: draw.below(SYSTEM_PROMPTS), tokens: SYSTEM_TOKENS }], turns)
  }
  return {
    name,
    pauseS: 0,
    stages: [() => ({
      arrivals: poisson(random.fork(1), load / TURNS_MEAN, durationS, start),
      warmUpS: durationS / 3,
      lastAskS: durationS
    })]
  }
}
