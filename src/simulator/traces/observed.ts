import { Measurements, type RunSummary } from "../Measurements.ts"
import type { WorkloadOptions } from "../Workload.ts"
import { type DecisionTrace, measuredDecisions } from "./decisions.ts"

/** What really happened to the requests that a replay with these options measures. */
export interface Observed extends RunSummary {
  /** The policy that made most of the decisions. */
  readonly policy: string
  /** Pods that the log names. */
  readonly pods: number
  /** Requests whose first token was seen; TTFT, TPOT and the share inside the objective are theirs. */
  readonly streamed: number
}

/** Hits are the pods' own where they told, what the gateway expected elsewhere; `outputTokensPerSecond` is of all. */
export const observedSummary = (trace: DecisionTrace, options: WorkloadOptions): Observed => {
  const measured = measuredDecisions(trace, options)
  const all = new Measurements()
  const streams = new Measurements()
  for (const { arrivedS, hitTokens, outputTokens, promptTokens, totalS, ttftS } of measured) {
    const request = {
      stage: 0,
      arrivedS,
      ttftS: ttftS ?? 0,
      tpotS: outputTokens > 1 && ttftS !== undefined ? (totalS - ttftS) / (outputTokens - 1) : Number.NaN,
      endS: arrivedS + totalS,
      promptTokens,
      cachedTokens: hitTokens,
      outputTokens
    }
    all.add(request)
    if (ttftS !== undefined) streams.add(request)
  }
  const { e2eMean, hitRatio, outputTokensPerSecond, requests } = all.summary()
  const streamed = streams.summary()
  return {
    ...streamed,
    requests,
    e2eMean,
    hitRatio,
    outputTokensPerSecond,
    policy: mostFrequent(trace.decisions.map(({ policy }) => policy)),
    pods: new Set(trace.decisions.map(({ pod }) => pod)).size,
    streamed: streamed.requests
  }
}

/** What to know before believing the replay, a sentence each. */
export const replayWarnings = (trace: DecisionTrace, observed: Observed): ReadonlyArray<string> => {
  const { decisions, failed, hasHashes, sampleRate } = trace
  const models = new Set(decisions.map(({ model }) => model)).size
  const warnings: Array<readonly [boolean, string]> = [
    [
      sampleRate < 1,
      `the log has ${
        Number((sampleRate * 100).toPrecision(3))
      } % of the decisions: the replay has less load and finds ` +
      `fewer hits than there were. Log all for a while with decisionLog.sampleRate: 1`
    ],
    [
      !hasHashes,
      "the log has no block hashes, so the replay finds no hits. Log them with decisionLog.blockHashes: true"
    ],
    [observed.streamed === 0, "no answer streamed, so no TTFT was observed"],
    [failed > 0, `${failed} requests that no pod served are left out`],
    [models > 1, `the log has ${models} models, and the replay lets every pod serve each of them`]
  ]
  return warnings.filter(([holds]) => holds).map(([, text]) => text)
}

const mostFrequent = (names: ReadonlyArray<string>): string => {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts].reduce((most, next) => next[1] > most[1] ? next : most, ["", 0] as const)[0]
}
