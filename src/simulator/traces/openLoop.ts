import type { Segment } from "../promptChain.ts"
import type { PlannedRequest, Workload, WorkloadOptions } from "../Workload.ts"

/** A recorded request; its prompt is built when it is sent, since a trace's prompts together are large. */
export interface RecordedRequest {
  /** On any clock; the first request is sent at once. */
  readonly atS: number
  readonly prompt: () => ReadonlyArray<Segment>
  readonly outputTokens: number
}

/** Ids above all that a trace uses for prompts. */
const ANSWER_IDS = 2 ** 48

/** Plays requests when they were recorded, `load` times as fast, and only those of the first `durationS` seconds then. */
export const openLoop = (
  name: string,
  requests: ReadonlyArray<RecordedRequest>,
  { durationS = Number.POSITIVE_INFINITY, load }: WorkloadOptions
): Workload => {
  const arrivals = function*(): Generator<PlannedRequest> {
    const firstS = requests[0]?.atS ?? 0
    for (const [index, { atS, outputTokens, prompt }] of requests.entries()) {
      const afterS = (atS - firstS) / load
      if (afterS >= durationS) return
      yield {
        afterS,
        prompt: prompt(),
        output: { id: ANSWER_IDS + index, tokens: outputTokens },
        outputTokensMax: undefined,
        sessionHash: 0
      }
    }
  }
  return { name, pauseS: 0, stages: [() => ({ arrivals: arrivals(), warmUpS: 0, lastAskS: undefined })] }
}
