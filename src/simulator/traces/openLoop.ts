import type { Segment } from "../promptChain.ts"
import type { PlannedRequest, Workload, WorkloadOptions } from "../Workload.ts"

/** A recorded request; its prompt is built when it is sent, since a trace's prompts together are large. */
export interface RecordedRequest {
  /** On any clock; the first request is sent at once. */
  readonly atS: number
  readonly prompt: () => ReadonlyArray<Segment>
  readonly outputTokens: number
  readonly outputTokensMax?: number | undefined
  readonly sessionHash?: number | undefined
}

/** Ids above all that a trace uses for prompts. */
const ANSWER_IDS = 2 ** 48

/**
 * Plays requests when they were recorded, `load` times as fast, and only those of the first `durationS` seconds then.
 * What comes in the first `warmUpShare` of the time is not measured.
 */
export const openLoop = (
  name: string,
  requests: ReadonlyArray<RecordedRequest>,
  { durationS = Number.POSITIVE_INFINITY, load }: WorkloadOptions,
  warmUpShare = 0
): Workload => {
  const firstS = requests[0]?.atS ?? 0
  const warmUpS = warmUpShare * Math.min(((requests.at(-1)?.atS ?? 0) - firstS) / load, durationS)
  const arrivals = function*(): Generator<PlannedRequest> {
    for (const [index, { atS, outputTokens, outputTokensMax, prompt, sessionHash }] of requests.entries()) {
      const afterS = (atS - firstS) / load
      if (afterS >= durationS) return
      yield {
        afterS,
        prompt: prompt(),
        output: { id: ANSWER_IDS + index, tokens: outputTokens },
        outputTokensMax,
        sessionHash: sessionHash ?? 0
      }
    }
  }
  return { name, pauseS: 0, stages: [() => ({ arrivals: arrivals(), warmUpS, lastAskS: undefined })] }
}
