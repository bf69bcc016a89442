import { Schema } from "effect"
import { ownPrefillS, stepS } from "../../core/cost.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { leastCost } from "../leastCost.ts"
import { mostHits } from "../mostHits.ts"
import { type Measure, reasonsOf } from "../reasonsOf.ts"
import { RowOwners } from "../RowOwners.ts"
import { WindowSums } from "../WindowSums.ts"

export const type = "preble"

export const Config = Schema.Struct({
  /** H: placements of this long count as a pod's load. */
  windowS: Schema.optionalWith(Schema.Positive, { default: () => 180 }),
  /** Slices in which the window moves on. */
  windowSlices: Schema.optionalWith(Schema.Int.pipe(Schema.between(1, 180)), { default: () => 18 })
})
export type Config = typeof Config.Type

/**
 * E2, exploit or explore. More of the prompt cached somewhere than left to compute: the pod with most hits (ties: lower
 * load). Else the lowest L + M + P in seconds: L, prefill and decode placed there in the window, each request priced as
 * if it ran alone; M, prefill of the cached tokens it would evict · share of prompt tokens that hit there in the window;
 * P, its own prefill. Ties at random.
 * Simpler than Preble: a pod's cache counts as filled by all uncached and output tokens ever sent there, evicted
 * prefixes are not told apart, and neither rebalancing of placed prefixes nor their autoscaling is done; AIBrix's
 * prefix-cache-preble leaves the same out. Source: Preble (ICLR 2025), section on E2.
 */
export const make = (config: Config, podsMax: number): Policy => {
  const memory = new PlacementMemory(config, podsMax)
  const loadS = (context: PickContext, row: number): number => memory.loadS(context, row)
  const evictionS = (context: PickContext, row: number): number => memory.evictionS(context, row)
  const exploreS = (context: PickContext, row: number): number =>
    loadS(context, row) + evictionS(context, row) + ownS(context, row)
  const measures: ReadonlyArray<Measure> = [
    { key: "windowLoadS", title: "load in the window", unit: "s", of: loadS },
    { key: "evictionS", title: "eviction", unit: "s", of: evictionS },
    { key: "ownPrefillS", title: "own prefill", unit: "s", of: ownS },
    { key: "costS", title: "cost", unit: "s", of: exploreS }
  ]
  return {
    type,
    pick: (context) => {
      const warm = mostHits(context, loadS)
      const row = exploits(context, warm) ? warm : leastCost(context, exploreS)
      memory.place(context, row)
      return row
    },
    explain: (context) => {
      const warm = mostHits(context, loadS)
      return exploits(context, warm)
        ? reasonsOf(context, warm, "exploits: it has more of the prompt cached than is left to compute", measures)
        : reasonsOf(context, leastCost(context, exploreS), "explores: it has the lowest cost", measures)
    }
  }
}

const exploits = ({ request, hitTokens }: PickContext, warm: number): boolean => {
  const cached = hitTokens[warm] ?? 0
  return cached > request.promptTokens - cached
}

/** P */
const ownS = ({ table, request, hitTokens }: PickContext, row: number): number =>
  ownPrefillS(table, row, request.promptTokens, hitTokens[row] ?? 0)

/** What was placed on each row: seconds of work and hits over the window, and the tokens that fill its cache. */
class PlacementMemory {
  private readonly owners = new RowOwners()
  private readonly workS: WindowSums
  private readonly promptTokens: WindowSums
  private readonly hitTokens: WindowSums
  private readonly filledTokens: Float64Array

  constructor({ windowS, windowSlices }: Config, podsMax: number) {
    this.workS = new WindowSums(podsMax, windowS, windowSlices)
    this.promptTokens = new WindowSums(podsMax, windowS, windowSlices)
    this.hitTokens = new WindowSums(podsMax, windowS, windowSlices)
    this.filledTokens = new Float64Array(podsMax)
  }

  /** L */
  loadS(context: PickContext, row: number): number {
    this.forgetFormer(context, row)
    return this.workS.sum(row, context.nowS)
  }

  /** M */
  evictionS(context: PickContext, row: number): number {
    this.forgetFormer(context, row)
    const { table, request, hitTokens, outputTokens, nowS } = context
    const addedTokens = request.promptTokens - (hitTokens[row] ?? 0) + outputTokens
    const filled = this.filledTokens[row] ?? 0
    const evictedTokens = Math.max(0, filled + addedTokens - (table.kvCapacityTokens[row] ?? 0))
    const prompts = this.promptTokens.sum(row, nowS)
    const hitShare = prompts === 0 ? 0 : this.hitTokens.sum(row, nowS) / prompts
    return evictedTokens * (table.prefillTokenS[row] ?? 0) * hitShare
  }

  place(context: PickContext, row: number): void {
    this.forgetFormer(context, row)
    const { table, request, hitTokens, outputTokens, nowS } = context
    const hit = hitTokens[row] ?? 0
    const decodeS = outputTokens * stepS(table, row, 1, request.promptTokens + outputTokens / 2)
    this.workS.add(row, ownS(context, row) + decodeS, nowS)
    this.promptTokens.add(row, request.promptTokens, nowS)
    this.hitTokens.add(row, hit, nowS)
    const addedTokens = request.promptTokens - hit + outputTokens
    this.filledTokens[row] = Math.min(table.kvCapacityTokens[row] ?? 0, (this.filledTokens[row] ?? 0) + addedTokens)
  }

  private forgetFormer(context: PickContext, row: number): void {
    if (!this.owners.changed(context.table, row)) return
    this.workS.clear(row)
    this.promptTokens.clear(row)
    this.hitTokens.clear(row)
    this.filledTokens[row] = 0
  }
}
