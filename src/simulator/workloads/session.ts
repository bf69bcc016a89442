import { type Segment } from "../promptChain.ts"
import type { PlannedRequest } from "../Workload.ts"

/** One question and its answer in a conversation. */
export interface Turn {
  readonly question: Segment
  readonly answer: Segment
  /** From the answer before to this question. */
  readonly thinkS: number
}

/** A conversation: each prompt is the opening, all questions and answers before, and the new question. */
export const session = (
  afterS: number,
  sessionHash: number,
  opening: ReadonlyArray<Segment>,
  turns: ReadonlyArray<Turn>,
  after?: () => PlannedRequest
): PlannedRequest => {
  const ask = (index: number, history: ReadonlyArray<Segment>, askAfterS: number): PlannedRequest => {
    const { answer, question } = turns[index]!
    const prompt = [...history, question]
    const following = turns[index + 1]
    return {
      afterS: askAfterS,
      prompt,
      output: answer,
      outputTokensMax: undefined,
      sessionHash,
      next: following === undefined ? after : () => ask(index + 1, [...prompt, answer], following.thinkS)
    }
  }
  return ask(0, opening, afterS)
}
