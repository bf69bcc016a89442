import { Schema } from "effect"
import {
  decodingRequests,
  kvShortageS,
  openContextTokens,
  openRequests,
  ownPrefillS,
  prefillAheadS,
  prefillSlowdown,
  stepS
} from "../../core/cost.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"

export const type = "marginal-cost"

export const Config = Schema.Struct({
  /** How much a second of TTFT counts against a second of decode. */
  ttftWeight: Schema.optionalWith(Schema.Positive, { default: () => 8 }),
  /** A queue of this many seconds costs as much again as it lasts. */
  queueToleranceS: Schema.optionalWith(Schema.Positive, { default: () => 1 }),
  /** κ: weight of KV that running requests must give back first. */
  kvShortageWeight: Schema.optionalWith(Schema.NonNegative, { default: () => 0.25 }),
  /** Leave the pod with most hits only when that saves more than this share of the cost. */
  hysteresis: Schema.optionalWith(Schema.Number.pipe(Schema.between(0, 1)), { default: () => 0.1 })
})
export type Config = typeof Config.Type

/** Costs closer than this share are a tie. */
const TIE_SHARE = 1e-9

/**
 * Prices each placement in seconds, J = w·(T + Q) + D + n·own, and takes the cheapest (DESIGN 5):
 * my TTFT, the queue it builds, my decode, and what my prefill costs everyone who is decoding there.
 * Ties are broken at random; the pod with most hits is left only for a clear gain, since a copy of a prefix
 * elsewhere costs cache that this request does not pay for.
 */
export const make = (config: Config): Policy => ({
  type,
  pick: (context) => {
    let best = -1
    let bestJ = Number.POSITIVE_INFINITY
    let ties = 0
    let home = -1
    let homeJ = Number.POSITIVE_INFINITY
    let homeHit = 0
    for (let i = 0; i < context.candidateCount; i++) {
      const row = context.candidates[i] ?? 0
      const j = placementCostS(config, context, row)
      const hit = context.hitTokens[row] ?? 0
      if (hit > homeHit || (hit === homeHit && hit > 0 && j < homeJ)) {
        home = row
        homeJ = j
        homeHit = hit
      }
      if (best < 0 || j < bestJ * (1 - TIE_SHARE)) {
        best = row
        bestJ = j
        ties = 1
      } else if (j <= bestJ * (1 + TIE_SHARE)) {
        ties++
        if (context.random() * ties < 1) best = row
      }
    }
    return home >= 0 && bestJ >= (1 - config.hysteresis) * homeJ ? home : best
  }
})

/** J of a row, in (weighted) seconds. */
const placementCostS = (config: Config, context: PickContext, row: number): number => {
  const { table, request, hitTokens, outputTokens, nowS } = context
  const hit = hitTokens[row] ?? 0
  const own = ownPrefillS(table, row, request.promptTokens, hit)
  const slowdown = prefillSlowdown(table, row)
  const requests = openRequests(table, row)
  const contextTokens = openContextTokens(table, row)
  const queueS = prefillAheadS(table, row, nowS) * slowdown + own
  const ttftS = queueS + own * (slowdown - 1) + stepS(table, row, requests, contextTokens) / 2 +
    config.kvShortageWeight * kvShortageS(context, row, request.promptTokens - hit)
  const queuePenaltyS = (queueS * queueS) / config.queueToleranceS
  const decodeS = outputTokens *
    stepS(table, row, requests + 1, contextTokens + request.promptTokens + outputTokens / 2)
  return config.ttftWeight * (ttftS + queuePenaltyS) + decodeS + decodingRequests(table, row) * own
}
