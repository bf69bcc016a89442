import type { RequestFeatures } from "../RequestFeatures.ts"
import type { Scheduler } from "../Scheduler.ts"
import type { WaitingRoom } from "./WaitingRoom.ts"

/**
 * Whether a request would wait if it came now, in words; undefined: it would not. `podlessS`: the most that it waits for
 * a pod; `queueMaxS`: the most prefill ahead of it on its pod, where that is less than the fleet's.
 */
export const whyWait = (
  scheduler: Scheduler,
  { count, podlessCount }: WaitingRoom<unknown>,
  podlessS: number,
  queueMaxS: number | undefined,
  request: RequestFeatures,
  nowS: number
): string | undefined => {
  if (podlessS > 0 && scheduler.outlook(request, [], nowS) === "away") {
    return `for ${podlessS} s at most, until a pod that serves it takes requests; ${podlessCount} wait for a pod`
  }
  const isBusy = scheduler.isBusyFor(request, nowS, queueMaxS)
  const inLine = count - podlessCount
  if (inLine === 0) return isBusy ? "every pod is busy" : undefined
  return `${isBusy ? "every pod is busy" : "its turn comes after those that wait already"}; ${inLine} wait`
}
