import type { PickContext } from "./Policy.ts"
import type { PodTable } from "./PodTable.ts"

/**
 * The engine model seen from outside: what a placement costs in seconds, from reservations alone.
 * Terms and symbols as in DESIGN 5; each function takes the row of a pod and allocates nothing.
 */

/** At most this share of the prefill ahead is taken as done since the last first token. */
const PREFILL_PROGRESS_MAX = 0.7

/** n: requests decoding on the pod, others' included. */
export const decodingRequests = (table: PodTable, row: number): number =>
  (table.decoding[row] ?? 0) + (table.foreignRunning[row] ?? 0)

/** n + m: every request on the pod, others' included. */
export const openRequests = (table: PodTable, row: number): number =>
  decodingRequests(table, row) + (table.prefilling[row] ?? 0) + (table.foreignWaiting[row] ?? 0)

/** Context tokens of everything on the pod; a foreign request counts as an average one of ours. */
export const openContextTokens = (table: PodTable, row: number): number => {
  const own = (table.decoding[row] ?? 0) + (table.prefilling[row] ?? 0)
  const tokens = (table.decodingTokens[row] ?? 0) + (table.prefillingTokens[row] ?? 0)
  const foreign = (table.foreignRunning[row] ?? 0) + (table.foreignWaiting[row] ?? 0)
  return own === 0 ? tokens + foreign * FOREIGN_CONTEXT_TOKENS : tokens * (1 + foreign / own)
}

/** Assumed context of a request that someone else sent, while none of ours is there to compare with. */
const FOREIGN_CONTEXT_TOKENS = 1024

/** own: seconds of prefill this request needs on the pod. */
export const ownPrefillS = (table: PodTable, row: number, promptTokens: number, hitTokens: number): number => {
  const uncached = promptTokens - hitTokens
  return uncached * ((table.prefillTokenS[row] ?? 0) + (table.attentionPairS[row] ?? 0) * (hitTokens + uncached / 2))
}

/** A: seconds of prefill queued before this request, less what has been worked off since the last first token. */
export const prefillAheadS = (table: PodTable, row: number, nowS: number): number => {
  const queued = table.prefillAheadS[row] ?? 0
  const waiting = table.prefilling[row] ?? 0
  const foreign = (table.foreignWaiting[row] ?? 0) * (waiting === 0 ? 0 : queued / waiting)
  const elapsedS = Math.max(0, nowS - (table.prefillSinceS[row] ?? 0))
  return queued + foreign - Math.min(elapsedS, PREFILL_PROGRESS_MAX * queued)
}

/** φ: how much slower prefill runs because every decoding request rides in each of its steps. */
export const prefillSlowdown = (table: PodTable, row: number): number => {
  const stepPrefillS = (table.batchedTokensMax[row] ?? 0) * (table.prefillTokenS[row] ?? 0)
  if (stepPrefillS <= 0) return 1
  const decodeS = (table.contextTokenS[row] ?? 0) * (table.decodingTokens[row] ?? 0) +
    (table.decodeRequestS[row] ?? 0) * decodingRequests(table, row)
  return 1 + decodeS / stepPrefillS
}

/** s(n, K): time of one decode step on the pod with `requests` over `contextTokens`. */
export const stepS = (table: PodTable, row: number, requests: number, contextTokens: number): number => {
  const weightS = table.weightReadS[row] ?? 0
  const computeS = (table.prefillTokenS[row] ?? 0) * requests
  return (table.stepFixedS[row] ?? 0) + Math.sqrt(weightS * weightS + computeS * computeS) +
    (table.decodeRequestS[row] ?? 0) * requests + (table.contextTokenS[row] ?? 0) * contextTokens
}

/**
 * Output tokens that the decoding requests have by now: those of their time since the first token, at the pod's pace,
 * none more than is expected of it. The pod's KV holds them, and no prompt shows them.
 */
export const generatedTokens = (context: PickContext, row: number): number => {
  const { nowS, outputTokens, table } = context
  const decoding = table.decoding[row] ?? 0
  if (decoding === 0) return 0
  const decodedS = Math.max(0, decoding * nowS - (table.decodingSinceS[row] ?? 0))
  const paceS = stepS(table, row, openRequests(table, row), openContextTokens(table, row))
  return Math.min(decoding * outputTokens, decodedS / paceS)
}

/** κ-term without its weight: seconds until running requests have given back the KV that is missing. */
export const kvShortageS = (context: PickContext, row: number, uncachedTokens: number): number => {
  const { table, outputTokens } = context
  const requests = openRequests(table, row)
  const missing = (table.usedTokens[row] ?? 0) + generatedTokens(context, row) + (outputTokens * requests) / 2 +
    uncachedTokens + outputTokens - (table.kvCapacityTokens[row] ?? 0)
  if (missing <= 0 || requests === 0) return 0
  const contextTokens = openContextTokens(table, row)
  const drainS = Math.max(1, outputTokens) * stepS(table, row, requests, contextTokens)
  return (missing / Math.max(1, contextTokens)) * drainS
}

/** Whether a prompt is mostly new to a pod that holds so much of it. */
export const isCold = (promptTokens: number, hitTokens: number): boolean => hitTokens < promptTokens / 2

/** Tokens of prompts that were mostly new to the pod when they were placed there, fading. */
export const coldTokens = (table: PodTable, row: number, nowS: number): number =>
  (table.coldTokens[row] ?? 0) * Math.exp(((table.coldAtS[row] ?? 0) - nowS) / COLD_FADES_OVER_S)

/** Time after which cold prompts count a third: long enough to go round the fleet, short enough to forget. Source: DESIGN 5. */
const COLD_FADES_OVER_S = 120

/** T out of its parts: everything before my first token, slowed down by decodes, half a running step, and KV to wait for. */
export const ttftS = (queuedS: number, slowdown: number, runningStepS: number, kvWaitS: number): number =>
  queuedS * slowdown + runningStepS / 2 + kvWaitS

/** T: seconds until this request's first token on the pod, if it went there now. */
export const predictTtftS = (context: PickContext, row: number, kvShortageWeight: number): number => {
  const { table, request, hitTokens, nowS } = context
  const hit = hitTokens[row] ?? 0
  return ttftS(
    prefillAheadS(table, row, nowS) + ownPrefillS(table, row, request.promptTokens, hit),
    prefillSlowdown(table, row),
    stepS(table, row, openRequests(table, row), openContextTokens(table, row)),
    kvShortageWeight * kvShortageS(context, row, request.promptTokens - hit)
  )
}
