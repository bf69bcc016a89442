import { generatedTokens, openRequests, prefillAheadS, prefillSlowdown } from "../cost.ts"
import type { PickContext } from "../Policy.ts"
import type { ReuseAges } from "../ReuseAges.ts"
import type { ShadowKv } from "../ShadowKv.ts"

/** What a request waits for at the gateway. never: nothing. turn: a short prefill queue. room: that and its KV too. */
export type WaitFor = "never" | "turn" | "room"

export interface FleetRoomOptions {
  /** A pod with more prefill than this ahead has no room for another request. */
  readonly queueMaxS: number
  /** A prompt that would take a pod beyond this share of its KV capacity has no room there. */
  readonly kvShareMax: number
  /** Prompts that bring more uncached tokens than this are giants: they may flush what others come back for. */
  readonly giantTokens: number
  /** A giant waits while what it would flush costs more than this share of what it computes, on the pod it would go to. */
  readonly flushShareMax: number
}

/** DESIGN 5, but for the KV share and the flush share, which the simulator chose. */
export const fleetRoomDefaults: FleetRoomOptions = {
  queueMaxS: 1,
  // A request or two that the pod itself lets wait keep it busy; more would wait in order of arrival.
  kvShareMax: 1.05,
  giantTokens: 16_000,
  flushShareMax: 0.6
}

/** Blocks of a pod that are looked at for what a giant would flush; the rest count as these do. */
const FLUSH_BLOCKS_MAX = 256

/** Whether some pod has room for a request, or all would queue it. From reservations alone, never from a scrape. */
export class FleetRoom {
  private readonly options: FleetRoomOptions
  private readonly shadows: ReadonlyArray<ShadowKv | undefined>
  private readonly reuse: ReuseAges

  constructor(options: FleetRoomOptions, shadows: ReadonlyArray<ShadowKv | undefined>, reuse: ReuseAges) {
    this.options = options
    this.shadows = shadows
    this.reuse = reuse
  }

  /** Whether one of the context's candidates has what the request waits for. */
  has(context: PickContext, waitFor: WaitFor): boolean {
    if (waitFor === "never") return true
    for (let i = 0; i < context.candidateCount; i++) {
      const row = context.candidates[i] ?? 0
      if (this.isQueueShort(context, row) && (waitFor === "turn" || this.fitsKv(context, row))) return true
    }
    return false
  }

  /** Whether the request would push out of the pod what others will come back for, to an extent that it should wait. */
  flushes(context: PickContext, row: number): boolean {
    const { hitTokens, nowS, outputTokens, request, table } = context
    const uncachedTokens = request.promptTokens - (hitTokens[row] ?? 0)
    const shadow = this.shadows[row]
    // An idle pod has nothing better to do.
    if (uncachedTokens <= this.options.giantTokens || shadow === undefined || openRequests(table, row) === 0) {
      return false
    }
    const blockSizeTokens = table.blockSizeTokens[row] ?? 1
    const neededTokens = uncachedTokens + outputTokens
    const blocks = Math.ceil(neededTokens / blockSizeTokens)
    const lostBlocks = shadow.evictionLoss(blocks, FLUSH_BLOCKS_MAX, nowS, this.reuse)
    return lostBlocks * blockSizeTokens > this.options.flushShareMax * neededTokens
  }

  private isQueueShort(context: PickContext, row: number): boolean {
    const { nowS, table } = context
    return prefillAheadS(table, row, nowS) * prefillSlowdown(table, row) <= this.options.queueMaxS
  }

  private fitsKv(context: PickContext, row: number): boolean {
    const { hitTokens, request, table } = context
    const usedTokens = (table.usedTokens[row] ?? 0) + generatedTokens(context, row)
    // An empty pod takes what it is given: a prompt beyond its capacity gets the pod's own answer.
    if (usedTokens === 0) return true
    const uncachedTokens = request.promptTokens - (hitTokens[row] ?? 0)
    return usedTokens + uncachedTokens <= this.options.kvShareMax * (table.kvCapacityTokens[row] ?? 0)
  }
}
