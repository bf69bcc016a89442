import type { PickContext } from "../../core/Policy.ts"
import type { Scorer } from "../Plugin.ts"
import { SessionConfig, SessionPods } from "../SessionPods.ts"

export const type = "session-affinity-scorer"

export const Config = SessionConfig

/** 1 for the session's pod, 0 for the others. Source: llm-d session-affinity-scorer. */
export const make = (config: SessionConfig): Scorer => {
  const sessions = new SessionPods(config)
  const score = (context: PickContext, scores: Float64Array): void => {
    const own = sessions.rowOf(context)
    for (let i = 0; i < context.candidateCount; i++) scores[i] = context.candidates[i] === own ? 1 : 0
  }
  return Object.assign(score, { placed: (context: PickContext, row: number) => sessions.placed(context, row) })
}
