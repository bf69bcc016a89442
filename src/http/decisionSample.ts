import type { Decision, RequestEnd } from "../../actors/SchedulerPort.ts"
import { trailBlockTokens, trailOf } from "../core/promptTrail.ts"
import type { RequestFeatures } from "../core/RequestFeatures.ts"
import type { DecisionEntry, PromptTrail } from "../telemetry/DecisionLog.ts"
import type { Usage } from "./AnswerTail.ts"
import type { DecisionSink } from "./FrontOptions.ts"

/** What the decision log keeps of a request from its pick to its end. */
export interface DecisionSample {
  readonly stream: boolean
  readonly maxTokens: number | undefined
  readonly session: number
  readonly trail: PromptTrail | undefined
}

/** Undefined when this request is not in the sample. The prompt is still there only until the answer's head comes. */
export const sampleDecision = (sink: DecisionSink, features: RequestFeatures): DecisionSample | undefined =>
  sink.samples()
    ? {
      stream: features.streams,
      maxTokens: features.outputTokensMax,
      session: features.sessionHash,
      trail: sink.blockHashes ? promptTrail(features) : undefined
    }
    : undefined

const promptTrail = (features: RequestFeatures): PromptTrail => {
  const hashes = trailOf(features.chain(trailBlockTokens))
  return {
    blockTokens: features.tokensPerBlock(trailBlockTokens),
    blocks: Buffer.from(hashes.buffer, 0, hashes.byteLength).toString("base64")
  }
}

/** What became of one pick; times on the clock of `performance.now()`. */
export interface DecisionResult {
  readonly requestId: string
  readonly model: string
  readonly startedMs: number
  readonly pickedMs: number
  readonly observedTtftMs: number | undefined
  readonly outcome: RequestEnd["outcome"]
  readonly usage: Usage | undefined
  readonly outputTokens: number | undefined
}

/** The line of the log. */
export const decisionEntry = (
  { maxTokens, session, stream, trail }: DecisionSample,
  decision: Decision,
  { model, observedTtftMs, outcome, outputTokens, pickedMs, requestId, startedMs, usage }: DecisionResult
): DecisionEntry => ({
  requestId,
  model,
  policy: decision.policy,
  pod: decision.address.id,
  arrivedMs: performance.timeOrigin + startedMs,
  waitMs: pickedMs - startedMs,
  totalMs: performance.now() - startedMs,
  stream,
  maxTokens,
  session,
  promptTokens: decision.promptTokens,
  hitTokens: decision.hitTokens,
  podPromptTokens: usage?.promptTokens,
  podHitTokens: usage?.cachedTokens,
  predictedTtftMs: decision.predictedTtftS * 1000,
  observedTtftMs,
  outcome,
  outputTokens,
  trail
})
