import { SeededRandom } from "../SeededRandom.ts"
import type { Workload, WorkloadOptions } from "../Workload.ts"
import { idsFrom } from "./arrivals.ts"
import { session, type Turn } from "./session.ts"
import { closedLoop, sessionIds } from "./users.ts"

export const name = "codegen"

const SYSTEM_TOKENS = 3000

/**
 * Coding agents: a system prompt of 3,000 tokens for all, then 15,000 to 60,000 tokens of their own project, about 12
 * turns that add 1,500 tokens of tool output each, answers of about 425 tokens, tools that take about 5 s.
 * `load` is how many run at once; one that is done is followed by the next.
 * Shape: llm-d-benchmark agentic_code_generation and guide_predicted-latency-routing, at lengths that fit 32B models.
 */
export const make = ({ durationS = 400, load, seed }: WorkloadOptions): Workload => {
  const random = new SeededRandom(seed)
  return {
    name,
    pauseS: 0,
    stages: [() =>
      closedLoop(random, load, 30, durationS, (draw, user, round, afterS, after) => {
        const id = idsFrom(sessionIds(user, round))
        const opening = [{ id: 0, tokens: SYSTEM_TOKENS }, {
          id: id(),
          tokens: Math.round(draw.between(15_000, 60_000))
        }]
        const turns = Array.from({ length: draw.logNormal(12, 0.6, 2, 40) }, (): Turn => ({
          question: { id: id(), tokens: draw.logNormal(1500, 0.8, 100, 10_000) },
          answer: { id: id(), tokens: draw.logNormal(425, 1, 50, 4000) },
          thinkS: draw.exponential(5)
        }))
        return session(afterS, id(), opening, turns, after)
      })]
  }
}
