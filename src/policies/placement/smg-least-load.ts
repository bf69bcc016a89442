import { Schema } from "effect"
import { openRequests } from "../../core/cost.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { leastCost } from "../leastCost.ts"
import { RowOwners } from "../RowOwners.ts"

export const type = "smg-least-load"

export const Config = Schema.Struct({
  /** λ: seconds that the KV barrier k/(1 − k) is multiplied by. */
  kvBarrierS: Schema.optionalWith(Schema.NonNegative, { default: () => 0.15 }),
  /** p̄: tokens that a waiting request counts as. */
  meanPromptTokens: Schema.optionalWith(Schema.Positive, { default: () => 1024 }),
  /** Tokens a second that a pod works off. */
  throughput: Schema.optionalWith(Schema.Positive, { default: () => 2000 }),
  /** What a pod said of itself is looked at this often, however often it is scraped; 0: at every scrape. */
  pollIntervalS: Schema.optionalWith(Schema.NonNegative, { default: () => 10 })
})
export type Config = typeof Config.Type

/** KV usage is held below 1, where the barrier is infinite. */
const KV_USAGE_MAX = 0.999

/**
 * (waiting · p̄ + prompt tokens sent there since the poll) / throughput + λ·k/(1 − k), with the waiting requests and the
 * KV usage k of the last poll; lowest wins, ties at random. Until a candidate has been polled, fewest open requests.
 * Source: SMG least_load.
 */
export const make = (config: Config, podsMax: number): Policy => {
  const polls = new Polls(config.pollIntervalS, podsMax)
  const cost = (_: PickContext, row: number): number => {
    const kvUsage = Math.min(KV_USAGE_MAX, Math.max(0, polls.kvUsage[row] ?? 0))
    const tokens = (polls.waiting[row] ?? 0) * config.meanPromptTokens + (polls.sentTokens[row] ?? 0)
    return tokens / config.throughput + (config.kvBarrierS * kvUsage) / (1 - kvUsage)
  }
  return {
    type,
    pick: (context) => {
      const row = leastCost(context, polls.refresh(context) ? cost : requests)
      polls.sentTokens[row] = (polls.sentTokens[row] ?? 0) + context.request.promptTokens
      return row
    }
  }
}

const requests = (context: PickContext, row: number): number => openRequests(context.table, row)

/** Instead of a time: the pod is new to us. The table says -1 of one never scraped. */
const UNKNOWN = -2

/** What each pod said at its last poll, and what it was sent since. */
class Polls {
  readonly waiting: Float64Array
  readonly kvUsage: Float64Array
  readonly sentTokens: Float64Array
  private readonly owners = new RowOwners()
  private readonly intervalS: number
  private readonly scrapedAtS: Float64Array
  private readonly polledAtS: Float64Array

  constructor(intervalS: number, podsMax: number) {
    this.intervalS = intervalS
    this.waiting = new Float64Array(podsMax)
    this.kvUsage = new Float64Array(podsMax)
    this.sentTokens = new Float64Array(podsMax)
    this.scrapedAtS = new Float64Array(podsMax)
    this.polledAtS = new Float64Array(podsMax)
  }

  /** Polls the candidates whose time has come and who have been scraped since. False: none has ever been scraped. */
  refresh({ table, candidates, candidateCount, nowS }: PickContext): boolean {
    let known = false
    for (let i = 0; i < candidateCount; i++) {
      const row = candidates[i] ?? 0
      const scrapedAtS = table.observedAtS[row] ?? -1
      if (scrapedAtS >= 0) known = true
      const before = this.owners.changed(table, row) ? UNKNOWN : this.scrapedAtS[row] ?? UNKNOWN
      if (scrapedAtS === before) continue
      if (before >= 0 && nowS - (this.polledAtS[row] ?? 0) < this.intervalS) continue
      this.waiting[row] = table.observedWaiting[row] ?? 0
      this.kvUsage[row] = table.observedKvUsage[row] ?? 0
      this.sentTokens[row] = 0
      this.scrapedAtS[row] = scrapedAtS
      this.polledAtS[row] = nowS
    }
    return known
  }
}
