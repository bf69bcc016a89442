import { Schema } from "effect"
import {
  coldTokens,
  decodingRequests,
  isCold,
  kvShortageS,
  openContextTokens,
  openRequests,
  ownPrefillS,
  prefillAheadS,
  prefillSlowdown,
  stepS,
  ttftS
} from "../../core/cost.ts"
import type { ReasonColumn } from "../../core/Explanation.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"

export const type = "marginal-cost"

export const Config = Schema.Struct({
  /** How much a second of TTFT counts against a second of decode. */
  ttftWeight: Schema.optionalWith(Schema.Positive, { default: () => 8 }),
  /** A queue of this many seconds costs as much again as it lasts. */
  queueToleranceS: Schema.optionalWith(Schema.Positive, { default: () => 0.5 }),
  /** What my prefill costs those that wait for theirs on the pod, and those that come after them. */
  prefillCrowdWeight: Schema.optionalWith(Schema.NonNegative, { default: () => 2 }),
  /** κ: weight of KV that running requests must give back first. */
  kvShortageWeight: Schema.optionalWith(Schema.NonNegative, { default: () => 0.25 }),
  /** Leave the pod with most hits only when that saves more than this share of the cost. */
  hysteresis: Schema.optionalWith(Schema.Number.pipe(Schema.between(0, 1)), { default: () => 0.2 }),
  /** A prompt that is mostly new everywhere may cost this share more than on the cheapest pod, to spread such prompts. */
  spreadSlack: Schema.optionalWith(Schema.NonNegative, { default: () => 0.2 })
})
export type Config = typeof Config.Type

/** Costs closer than this share are a tie. */
const TIE_SHARE = 1e-9

/** Where the choice between the pod with most hits and the cheapest one stands. */
interface Choice {
  best: number
  bestJ: number
  ties: number
  home: number
  homeJ: number
  homeHit: number
  /** The prompt is mostly new everywhere, so that no pod is its home, */
  isNew: boolean
  /** and another pod than the cheapest is disturbed less. */
  isSpread: boolean
}

const undecided = (): Choice => ({
  best: -1,
  bestJ: 0,
  ties: 0,
  home: -1,
  homeJ: 0,
  homeHit: 0,
  isNew: false,
  isSpread: false
})

/**
 * Prices each placement in seconds, J = w·(T + Q) + D + X, and takes the cheapest (DESIGN 5): my TTFT, the queue it
 * builds, my decode, and what my prefill and my decode cost everyone else there.
 * Ties are broken at random; the pod with most hits is left only for a clear gain, since a copy of a prefix
 * elsewhere costs cache that this request does not pay for. A prompt that is mostly new everywhere may be the first of
 * many with its prefix, which will all want that pod: among the pods that cost little more than the cheapest, the one
 * with fewest such prompts of late, and with least to lose, gets it.
 */
export const make = (config: Config, podsMax: number): Policy => {
  const choice = undecided()
  const costs = new Float64Array(podsMax)
  return {
    type,
    isRevocable: true,
    pick: (context) => choose(config, context, choice, costs),
    explain: (context) => {
      const made = undecided()
      const row = choose(config, context, made, costs)
      return { row, why: whyChosen(config, context, made, row), columns, values: termsByRow(config, context) }
    }
  }
}

const choose = (config: Config, context: PickContext, choice: Choice, costs: Float64Array): number => {
  let best = -1
  let bestJ = Number.POSITIVE_INFINITY
  let ties = 0
  let home = -1
  let homeJ = Number.POSITIVE_INFINITY
  let homeHit = 0
  for (let i = 0; i < context.candidateCount; i++) {
    const row = context.candidates[i] ?? 0
    const j = placementCostS(config, context, row)
    costs[row] = j
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
  const cheapest = best
  const isNew = best >= 0 && isCold(context.request.promptTokens, homeHit)
  if (isNew) {
    best = leastDisturbed(context, best, bestJ * (1 + config.spreadSlack), costs)
    bestJ = costs[best] ?? bestJ
  }
  choice.isNew = isNew
  choice.isSpread = best !== cheapest
  choice.best = best
  choice.bestJ = bestJ
  choice.ties = ties
  choice.home = home
  choice.homeJ = homeJ
  choice.homeHit = homeHit
  return !isNew && home >= 0 && bestJ >= (1 - config.hysteresis) * homeJ ? home : best
}

/** Of the candidates that cost at most so much, the one that is disturbed least; `best` if none is less than it. */
const leastDisturbed = (context: PickContext, best: number, costMax: number, costs: Float64Array): number => {
  const { nowS, table } = context
  let row = best
  let least = coldTokens(table, best, nowS) + context.flushTokens(best)
  for (let i = 0; i < context.candidateCount; i++) {
    const other = context.candidates[i] ?? 0
    if ((costs[other] ?? 0) > costMax) continue
    const tokens = coldTokens(table, other, nowS)
    // What it would flush takes longer to find out, and is seldom needed.
    if (tokens >= least) continue
    const disturbedTokens = tokens + context.flushTokens(other)
    if (disturbedTokens >= least) continue
    row = other
    least = disturbedTokens
  }
  return row
}

/** J of a row, in (weighted) seconds. `terms` is filled for people when it is there, in the order of `columns`. */
const placementCostS = (config: Config, context: PickContext, row: number, terms?: Float64Array): number => {
  const { table, request, hitTokens, outputTokens, nowS } = context
  const hit = hitTokens[row] ?? 0
  const own = ownPrefillS(table, row, request.promptTokens, hit)
  const slowdown = prefillSlowdown(table, row)
  const requests = openRequests(table, row)
  const contextTokens = openContextTokens(table, row)
  const ahead = prefillAheadS(table, row, nowS)
  const queueS = ahead * slowdown + own
  const shortageS = config.kvShortageWeight * kvShortageS(context, row, request.promptTokens - hit)
  const firstTokenS = ttftS(ahead + own, slowdown, stepS(table, row, requests, contextTokens), shortageS)
  const queuePenaltyS = (queueS * queueS) / config.queueToleranceS +
    config.prefillCrowdWeight * (table.prefilling[row] ?? 0) * own
  const decodeS = outputTokens *
    stepS(table, row, requests + 1, contextTokens + request.promptTokens + outputTokens / 2)
  // Each request there waits for my prefill, and then for my part of the steps of half its output.
  const myStepPartS = (table.contextTokenS[row] ?? 0) * (request.promptTokens + outputTokens / 2) +
    (table.decodeRequestS[row] ?? 0)
  const othersS = decodingRequests(table, row) * own + (requests * outputTokens * myStepPartS) / 2
  const j = config.ttftWeight * (firstTokenS + queuePenaltyS) + decodeS + othersS
  if (terms !== undefined) {
    terms.set([own, ahead, slowdown, shortageS, firstTokenS, queuePenaltyS, decodeS, othersS, j])
  }
  return j
}

const columns: ReadonlyArray<ReasonColumn> = [
  { key: "ownPrefillS", title: "own prefill", unit: "s" },
  { key: "prefillAheadS", title: "prefill ahead", unit: "s" },
  { key: "slowdown", title: "slowdown", unit: "x" },
  { key: "kvShortageS", title: "KV shortage", unit: "s" },
  { key: "ttftS", title: "TTFT", unit: "s" },
  { key: "queuePenaltyS", title: "queue penalty", unit: "s" },
  { key: "decodeS", title: "decode", unit: "s" },
  { key: "othersS", title: "cost to others", unit: "s" },
  { key: "costS", title: "J", unit: "s" }
]

const termsByRow = (config: Config, context: PickContext): ReadonlyMap<number, Float64Array> => {
  const byRow = new Map<number, Float64Array>()
  for (const row of context.candidates.subarray(0, context.candidateCount)) {
    const terms = new Float64Array(columns.length)
    placementCostS(config, context, row, terms)
    byRow.set(row, terms)
  }
  return byRow
}

const whyChosen = (config: Config, context: PickContext, choice: Choice, row: number): string => {
  const { best, bestJ, home, homeJ, ties } = choice
  if (choice.isSpread) {
    return "no pod holds much of the prompt: of those that cost little more than the cheapest it had fewest new prompts " +
      "of late and least to lose"
  }
  const nameOf = (row: number): string => context.table.addresses[row]?.id ?? ""
  const percent = (share: number): string => `${Number((share * 100).toPrecision(2))} %`
  const margin = percent(config.hysteresis)
  const gain = percent(homeJ > 0 ? 1 - bestJ / homeJ : 0)
  if (context.candidateCount === 1) return "it is the only pod that can take the request"
  if (row === home && bestJ < homeJ * (1 - TIE_SHARE)) {
    return `stays on the pod with most hits: the cheapest, ${nameOf(best)}, saves only ${gain}, ` +
      `less than the hysteresis of ${margin} asks`
  }
  if (choice.isNew && home >= 0) return "no pod holds much of the prompt, and it is the cheapest"
  if (row === home) return "it has most hits and no other pod is cheaper"
  if (home >= 0) {
    return `leaves ${nameOf(home)}, the pod with most hits: ${nameOf(row)} saves ${gain}, ` +
      `more than the hysteresis of ${margin} asks`
  }
  if (ties > 1) return `no pod holds any of the prompt and ${ties} are equally cheap: one of them at random`
  return "it is the cheapest, and no pod holds any of the prompt"
}
