import { Schema } from "effect"
import { openRequests } from "../../core/cost.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { leastCost } from "../leastCost.ts"
import { type Measure, openRequestsMeasure, reasonsOf } from "../reasonsOf.ts"
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
  const queueS = (context: PickContext, row: number): number =>
    (polls.waitingOf(context, row) * config.meanPromptTokens + polls.sentTokensOf(context, row)) / config.throughput
  const barrierS = (context: PickContext, row: number): number => {
    const kvUsage = Math.min(KV_USAGE_MAX, Math.max(0, polls.kvUsageOf(context, row)))
    return (config.kvBarrierS * kvUsage) / (1 - kvUsage)
  }
  const scoreS = (context: PickContext, row: number): number => queueS(context, row) + barrierS(context, row)
  const measures: ReadonlyArray<Measure> = [
    { key: "queueS", title: "queue", unit: "s", of: queueS },
    { key: "kvBarrierS", title: "KV barrier", unit: "s", of: barrierS },
    { key: "scoreS", title: "score", unit: "s", of: scoreS }
  ]
  return {
    type,
    pick: (context) => {
      const row = leastCost(context, anyScraped(context) ? scoreS : requests)
      polls.send(context, row)
      return row
    },
    explain: (context) =>
      anyScraped(context)
        ? reasonsOf(context, leastCost(context, scoreS), "it has the lowest score", measures)
        : reasonsOf(context, leastCost(context, requests), "no pod was scraped, and it has the fewest open requests", [
          openRequestsMeasure
        ])
  }
}

const requests = (context: PickContext, row: number): number => openRequests(context.table, row)

const anyScraped = ({ table, candidates, candidateCount }: PickContext): boolean => {
  for (let i = 0; i < candidateCount; i++) if ((table.observedAtS[candidates[i] ?? 0] ?? -1) >= 0) return true
  return false
}

/** Instead of a time: the pod is new to us. The table says -1 of one never scraped. */
const UNKNOWN = -2

/** What each pod said at its last poll, and what it was sent since. A poll that is due counts as made already. */
class Polls {
  private readonly intervalS: number
  private readonly waiting: Float64Array
  private readonly kvUsage: Float64Array
  private readonly sentTokens: Float64Array
  private readonly scrapedAtS: Float64Array
  private readonly polledAtS: Float64Array
  private readonly owners = new RowOwners()

  constructor(intervalS: number, podsMax: number) {
    this.intervalS = intervalS
    this.waiting = new Float64Array(podsMax)
    this.kvUsage = new Float64Array(podsMax)
    this.sentTokens = new Float64Array(podsMax)
    this.scrapedAtS = new Float64Array(podsMax).fill(UNKNOWN)
    this.polledAtS = new Float64Array(podsMax)
  }

  waitingOf(context: PickContext, row: number): number {
    return (this.isDue(context, row) ? context.table.observedWaiting[row] : this.waiting[row]) ?? 0
  }

  kvUsageOf(context: PickContext, row: number): number {
    return (this.isDue(context, row) ? context.table.observedKvUsage[row] : this.kvUsage[row]) ?? 0
  }

  sentTokensOf(context: PickContext, row: number): number {
    return this.isDue(context, row) ? 0 : this.sentTokens[row] ?? 0
  }

  /** Polls the candidates that are due, and counts the prompt as sent to the row. */
  send(context: PickContext, row: number): void {
    for (let i = 0; i < context.candidateCount; i++) {
      const candidate = context.candidates[i] ?? 0
      if (this.isDue(context, candidate)) this.poll(context, candidate)
    }
    this.sentTokens[row] = (this.sentTokens[row] ?? 0) + context.request.promptTokens
  }

  private isDue({ table, nowS }: PickContext, row: number): boolean {
    if (this.owners.changed(table, row)) this.scrapedAtS[row] = UNKNOWN
    const before = this.scrapedAtS[row] ?? UNKNOWN
    if (table.observedAtS[row] === before) return false
    return before < 0 || nowS - (this.polledAtS[row] ?? 0) >= this.intervalS
  }

  private poll({ table, nowS }: PickContext, row: number): void {
    this.waiting[row] = table.observedWaiting[row] ?? 0
    this.kvUsage[row] = table.observedKvUsage[row] ?? 0
    this.sentTokens[row] = 0
    this.scrapedAtS[row] = table.observedAtS[row] ?? UNKNOWN
    this.polledAtS[row] = nowS
  }
}
