import type { BreakerChange } from "../core/PodGuard.ts"

export interface BreakerLogOptions {
  /** A pod's changes are written at most this often. */
  readonly everyMs: number
  /** Pods whose last line is remembered. */
  readonly podsMax: number
  readonly nowMs: () => number
  readonly warn: (line: string) => void
  /** Good news. */
  readonly info: (line: string) => void
}

/** A line when a pod's breaker opens and one when it closes; those of a pod that goes to and fro are counted instead. */
export const makeBreakerLog = (
  { everyMs, info, nowMs, podsMax, warn }: BreakerLogOptions
): (change: BreakerChange) => void => {
  const last = new Map<string, { readonly atMs: number; left: number }>()
  return ({ address: { id }, openS, state, why }) => {
    if (state === "half-open") return
    const atMs = nowMs()
    const before = last.get(id)
    // What is good news is told whenever the bad news was.
    if (before !== undefined && atMs - before.atMs < everyMs && (state === "open" || before.left > 0)) {
      before.left++
      return
    }
    last.delete(id)
    last.set(id, { atMs, left: 0 })
    const oldest = last.keys().next().value
    if (last.size > podsMax && oldest !== undefined) last.delete(oldest)
    const since = before === undefined || before.left === 0 ? "" : ` (changes since the last such line: ${before.left})`
    if (state === "closed") info(`pod ${id} gets requests again, its breaker closed${since}`)
    else warn(`pod ${id} gets no requests for ${Number(openS.toFixed(1))} s, its breaker opened: ${why}${since}`)
  }
}
