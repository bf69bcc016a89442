import type { Segment } from "../promptChain.ts"
import { SeededRandom } from "../SeededRandom.ts"
import type { PlannedRequest, Stage, Workload, WorkloadOptions } from "../Workload.ts"
import { idsFrom, poisson } from "./arrivals.ts"

export const name = "ladder"

const GROUPS = 150
const PROMPTS_PER_GROUP = 5
const SYSTEM_TOKENS = 6000
const QUESTION_TOKENS = 1200
const OUTPUT_TOKENS = 1000
const PAUSE_S = 30

/** Requests a second and for how many seconds; the first stage only warms up. */
export const ladderStages = [
  [15, 50],
  [3, 20],
  [10, 20],
  [15, 20],
  [20, 38],
  [22, 34],
  [25, 30],
  [30, 25],
  [35, 21],
  [40, 38],
  [43, 36],
  [46, 33],
  [49, 30],
  [52, 29],
  [55, 27],
  [57, 26],
  [60, 25]
] as const

/**
 * llm-d's published benchmark of prefix-aware routing: 150 system prompts of 6,000 tokens with 5 questions of 1,200
 * each, answers of 1,000 tokens, in 17 Poisson stages that each wait for the one before to end.
 * `load` multiplies the rates; `durationS` is the length of all stages together.
 * Source: llm-d-benchmark guide_optimized-baseline, reference run on 8 pods of 2 H100 with Qwen3-32B.
 */
export const make = ({ durationS, load, seed }: WorkloadOptions): Workload => {
  const random = new SeededRandom(seed)
  const answerId = idsFrom(1_000_000)
  const nextPrompt = deck(random.fork(0))
  const shorter = durationS === undefined ? 1 : durationS / ladderStages.reduce((sum, [, seconds]) => sum + seconds, 0)
  const request = (afterS: number): PlannedRequest => ({
    afterS,
    prompt: nextPrompt(),
    output: { id: answerId(), tokens: OUTPUT_TOKENS },
    outputTokensMax: OUTPUT_TOKENS,
    sessionHash: 0
  })
  return {
    name,
    pauseS: PAUSE_S,
    stages: ladderStages.map(([ratePerS, seconds], index) => (): Stage => ({
      arrivals: poisson(random.fork(index + 1), ratePerS * load, seconds * shorter, request),
      warmUpS: index === 0 ? Number.POSITIVE_INFINITY : 0,
      lastAskS: undefined
    }))
  }
}

/** All prompts in shuffled order, again and again. */
const deck = (random: SeededRandom): () => ReadonlyArray<Segment> => {
  const prompts = Array.from({ length: GROUPS * PROMPTS_PER_GROUP }, (_, index): ReadonlyArray<Segment> => [
    { id: Math.floor(index / PROMPTS_PER_GROUP), tokens: SYSTEM_TOKENS },
    { id: GROUPS + index, tokens: QUESTION_TOKENS }
  ])
  let drawn = prompts.length
  return () => {
    if (drawn === prompts.length) {
      random.shuffle(prompts)
      drawn = 0
    }
    return prompts[drawn++]!
  }
}
