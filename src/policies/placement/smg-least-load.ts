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
  throughput: Schema.optionalWith(Schema.Positive, { default: () => 2000 })
})
export type Config = typeof Config.Type

/** KV usage is held below 1, where the barrier is infinite. */
const KV_USAGE_MAX = 0.999

/**
 * (waiting · p̄ + prompt tokens sent there since the scrape) / throughput + λ·k/(1 − k), with the waiting requests and
 * the KV usage k of the last scrape; lowest wins, ties at random. Until a candidate has been scraped, fewest open
 * requests. Source: SMG least_load.
 */
export const make = (config: Config, podsMax: number): Policy => {
  const owners = new RowOwners()
  const sentTokens = new Float64Array(podsMax)
  /** The scrape that `sentTokens` are counted from. */
  const scrapedAtS = new Float64Array(podsMax)
  const cost = ({ table }: PickContext, row: number): number => {
    const kvUsage = Math.min(KV_USAGE_MAX, Math.max(0, table.observedKvUsage[row] ?? 0))
    const tokens = (table.observedWaiting[row] ?? 0) * config.meanPromptTokens + (sentTokens[row] ?? 0)
    return tokens / config.throughput + (config.kvBarrierS * kvUsage) / (1 - kvUsage)
  }
  return {
    type,
    pick: (context) => {
      const { table } = context
      let scraped = false
      for (let i = 0; i < context.candidateCount; i++) {
        const row = context.candidates[i] ?? 0
        const atS = table.observedAtS[row] ?? -1
        if (atS >= 0) scraped = true
        if (owners.changed(table, row) || atS !== scrapedAtS[row]) sentTokens[row] = 0
        scrapedAtS[row] = atS
      }
      const row = leastCost(context, scraped ? cost : requests)
      sentTokens[row] = (sentTokens[row] ?? 0) + context.request.promptTokens
      return row
    }
  }
}

const requests = (context: PickContext, row: number): number => openRequests(context.table, row)
