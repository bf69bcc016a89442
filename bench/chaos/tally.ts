import type { Verdict } from "./answerCheck.ts"

/** One request as its client saw it; times are milliseconds of one clock. */
export interface RequestRecord extends Verdict {
  readonly user: string
  readonly isStream: boolean
  readonly sentMs: number
  readonly endMs: number
  /** Longest time between two of its events, zero without a second one. */
  readonly stallMs: number
  /** When each of its events came, on the clock of `benchMs`. */
  readonly eventMs: ReadonlyArray<number>
  /** Nobody was at the other end of its connection, or nobody any more. */
  readonly wasCut: boolean
}

/** A pod was not well. */
export interface FaultWindow {
  readonly pod: number
  readonly startMs: number
  endMs: number
}

/** Nobody listened at the gateway's address. */
export interface DownWindow {
  readonly startMs: number
  endMs: number
}

export interface Tally {
  /** The sum of `ok`, `cleanErrors`, `uncleanErrors` and `lostWithGateway`. */
  readonly requests: number
  readonly ok: number
  readonly cleanErrors: number
  /** Those of requests that had a pod without a fault at every moment. */
  readonly cleanErrorsWithPodsLeft: number
  readonly uncleanErrors: number
  /** Cut by the kill of the gateway itself, when no gateway was there to answer. Wrong text then is still unclean. */
  readonly lostWithGateway: number
  /** Of streams whose pods had no fault from their start to their end. */
  readonly longestStallMs: number
  readonly healthyStreams: number
  /** Longest request that ended ok or with an error. */
  readonly longestRequestMs: number
  /** How often each kind of error came. */
  readonly reasons: Readonly<Record<string, number>>
}

const overlaps = (record: RequestRecord, { endMs, startMs }: DownWindow): boolean =>
  record.sentMs <= endMs && record.endMs >= startMs

/** Requests by their end. One that was cut while the gateway was down is its own kind; any other end counts as it is. */
export const tally = (
  records: ReadonlyArray<RequestRecord>,
  seen: ReadonlyMap<string, ReadonlyArray<number>>,
  faults: ReadonlyArray<FaultWindow>,
  down: ReadonlyArray<DownWindow>,
  podCount: number
): Tally => {
  const count = { ok: 0, clean: 0, unclean: 0, lost: 0 }
  const gone = allGone(faults, podCount)
  let cleanErrorsWithPodsLeft = 0
  const reasons: Record<string, number> = {}
  let longestStallMs = 0
  let healthyStreams = 0
  let longestRequestMs = 0
  for (const record of records) {
    const isLost = record.outcome === "unclean" && record.wasCut && down.some((window) => overlaps(record, window))
    const outcome = isLost ? "lost" : record.outcome
    const isSpare = outcome === "clean" && !gone.some((window) => overlaps(record, window))
    if (isSpare) cleanErrorsWithPodsLeft++
    count[outcome]++
    if (outcome !== "ok") {
      const reason = `${outcome}${isSpare ? " with pods left" : ""}: ${record.reason}`
      reasons[reason] = (reasons[reason] ?? 0) + 1
    }
    longestRequestMs = Math.max(longestRequestMs, record.endMs - record.sentMs)
    if (isHealthyStream(record, seen.get(record.user), faults)) {
      healthyStreams++
      longestStallMs = Math.max(longestStallMs, record.stallMs)
    }
  }
  return {
    requests: records.length,
    ok: count.ok,
    cleanErrors: count.clean,
    cleanErrorsWithPodsLeft,
    uncleanErrors: count.unclean,
    lostWithGateway: count.lost,
    longestStallMs: Math.round(longestStallMs),
    healthyStreams,
    longestRequestMs: Math.round(longestRequestMs),
    reasons
  }
}

/** Times at which no pod was without a fault; they begin where the last pod's fault does. */
const allGone = (faults: ReadonlyArray<FaultWindow>, podCount: number): ReadonlyArray<DownWindow> =>
  faults.flatMap(({ startMs }) => {
    const endByPod = new Map<number, number>()
    for (const fault of faults) {
      if (fault.startMs > startMs || fault.endMs <= startMs) continue
      endByPod.set(fault.pod, Math.max(fault.endMs, endByPod.get(fault.pod) ?? 0))
    }
    return endByPod.size < podCount ? [] : [{ startMs, endMs: Math.min(...endByPod.values()) }]
  })

/** It ended ok, and none of its pods had a fault from its start to its end. */
export const isHealthyStream = (
  record: RequestRecord,
  pods: ReadonlyArray<number> | undefined,
  faults: ReadonlyArray<FaultWindow>
): boolean =>
  record.isStream && record.outcome === "ok" && pods !== undefined &&
  !faults.some((window) => pods.includes(window.pod) && overlaps(record, window))
