import type { RequestFeatures } from "../RequestFeatures.ts"
import type { Scheduler } from "../Scheduler.ts"
import type { Hurry } from "./Hurry.ts"
import type { WaitingRoom } from "./WaitingRoom.ts"

/**
 * Whether a request would wait if it came now, in words; undefined: it would not. `podlessS`: the most that it waits for
 * a pod.
 */
export const whyWait = (
  scheduler: Scheduler,
  { count, podlessCount }: WaitingRoom<unknown>,
  hurry: Hurry,
  podlessS: number,
  request: RequestFeatures,
  priority: number,
  nowS: number
): string | undefined => {
  if (podlessS > 0 && scheduler.outlook(request, [], nowS) === "away") {
    return `for ${podlessS} s at most, until a pod that serves it takes requests; ${podlessCount} wait for a pod`
  }
  const inLine = count - podlessCount
  const why = whyBusy(scheduler, hurry, request, priority, nowS)
  if (inLine === 0) return why
  return `${why ?? "its turn comes after those that wait already"}; ${inLine} wait`
}

const whyBusy = (
  scheduler: Scheduler,
  hurry: Hurry,
  request: RequestFeatures,
  priority: number,
  nowS: number
): string | undefined => {
  const waitFor = hurry.waitForAtOnce(priority, false, nowS)
  if (!scheduler.isBusyFor(request, nowS, waitFor, hurry.queueMaxS(priority, nowS))) return undefined
  if (waitFor !== "modest" || scheduler.isBusyFor(request, nowS, "room", undefined)) return "every pod is busy"
  return "what room the pods have is left to bands above its own, which are in use"
}
