import { generatedTokens, openRequests, prefillAheadS, prefillSlowdown } from "../cost.ts"
import type { PodTable } from "../PodTable.ts"
import type { PickContext } from "../Policy.ts"
import type { ReuseAges } from "../prefix/ReuseAges.ts"
import type { ShadowKv } from "../prefix/ShadowKv.ts"

/**
 * What a request waits for at the gateway. never: nothing. turn: a short prefill queue. room: that and its KV too.
 * modest: the same with KV left on the very pod that it goes to, for the next request of a band above it. ample: with KV
 * to spare there, so that no pod is ever full.
 */
export type WaitFor = "never" | "turn" | "room" | "modest" | "ample"

export interface FleetRoomOptions {
  /** A pod with more prefill than this ahead has no room for another request. */
  readonly queueMaxS: number
  /** A prompt that would take a pod beyond this share of its KV capacity has no room there. */
  readonly kvShareMax: number
  /** The same for one that leaves some to the bands above it. */
  readonly kvShareModest: number
  /** The same for one that waits for ample room. */
  readonly kvShareAmple: number
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
  // In an overload of long answers 0.9 costs more throughput, and at 1 the bands above wait for others to end.
  kvShareModest: 0.95,
  // What runs still grows, and a pod that is full lets prompts wait until others have ended.
  kvShareAmple: 0.8,
  giantTokens: 16_000,
  flushShareMax: 0.6
}

/** Blocks of a pod that are looked at for what a request would flush; the rest count as these do. */
const FLUSH_BLOCKS_MAX = 256

/** Whether some pod has room for a request, or all would queue it. From reservations alone, never from a scrape. */
export class FleetRoom {
  /** A reload may bring others. */
  options: FleetRoomOptions
  private readonly shadows: ReadonlyArray<ShadowKv | undefined>
  private readonly reuse: ReuseAges

  constructor(options: FleetRoomOptions, shadows: ReadonlyArray<ShadowKv | undefined>, reuse: ReuseAges) {
    this.options = options
    this.shadows = shadows
    this.reuse = reuse
  }

  /**
   * Whether one of the context's candidates has what the request waits for; leaves only those with at most so much
   * prefill ahead, where that is less than the fleet's, and with what must be left of their KV.
   */
  narrow(context: PickContext, waitFor: WaitFor, queueMaxS: number | undefined): boolean {
    if (waitFor !== "never" && queueMaxS !== undefined) this.keepShort(context, queueMaxS)
    if (waitFor === "modest") this.keepFitting(context, this.options.kvShareModest)
    if (waitFor === "ample") this.keepFitting(context, this.options.kvShareAmple)
    return this.has(context, waitFor)
  }

  private has(context: PickContext, waitFor: WaitFor): boolean {
    if (waitFor === "never") return true
    const { nowS, table } = context
    for (let i = 0; i < context.candidateCount; i++) {
      const row = context.candidates[i] ?? 0
      if (queueS(table, row, nowS) > this.options.queueMaxS) continue
      if (waitFor === "turn" || this.fitsKv(context, row, this.options.kvShareMax)) return true
    }
    return false
  }

  /** Leaves only the candidates with at most so much prefill ahead. */
  keepShort(context: PickContext, queueMaxS: number): void {
    const { candidates, nowS, table } = context
    let kept = 0
    for (let i = 0; i < context.candidateCount; i++) {
      const row = candidates[i] ?? 0
      if (queueS(table, row, nowS) <= queueMaxS) candidates[kept++] = row
    }
    context.candidateCount = kept
  }

  /** Leaves only the candidates that the request takes to no more than this share of their KV. */
  private keepFitting(context: PickContext, shareMax: number): void {
    const { candidates } = context
    let kept = 0
    for (let i = 0; i < context.candidateCount; i++) {
      const row = candidates[i] ?? 0
      if (this.fitsKv(context, row, shareMax)) candidates[kept++] = row
    }
    context.candidateCount = kept
  }

  /** Whether a pod has a queue that is short for somebody, bands of other bounds included; true too when none accepts. */
  mayHaveTurn(table: PodTable, nowS: number, bandQueueMaxS: ReadonlyMap<number, number> | undefined): boolean {
    let longestS = this.options.queueMaxS
    for (const queueMaxS of bandQueueMaxS?.values() ?? []) longestS = Math.max(longestS, queueMaxS)
    let accepts = false
    for (let row = 0; row < table.rowCount; row++) {
      if (table.accepting[row] === 0) continue
      accepts = true
      if (queueS(table, row, nowS) <= longestS) return true
    }
    return !accepts
  }

  /** Whether the request would push out so much of what others come back for that it should wait instead. */
  flushes(context: PickContext, row: number): boolean {
    // An idle pod has nothing better to do.
    if (openRequests(context.table, row) === 0) return false
    const computedTokens = context.request.promptTokens - (context.hitTokens[row] ?? 0) + context.outputTokens
    return this.flushTokens(context, row) > this.options.flushShareMax * computedTokens
  }

  /** Tokens in blocks that a giant would push out of the pod, each weighed by the chance that it is asked for again. */
  flushTokens({ hitTokens, nowS, outputTokens, request, table }: PickContext, row: number): number {
    const shadow = this.shadows[row]
    const blockSizeTokens = table.blockSizeTokens[row] ?? 0
    const uncachedTokens = request.promptTokens - (hitTokens[row] ?? 0)
    if (uncachedTokens <= this.options.giantTokens || shadow === undefined || blockSizeTokens === 0) return 0
    const blocks = Math.ceil((uncachedTokens + outputTokens) / blockSizeTokens)
    return shadow.evictionLoss(blocks, FLUSH_BLOCKS_MAX, nowS, this.reuse) * blockSizeTokens
  }

  private fitsKv(context: PickContext, row: number, shareMax: number): boolean {
    const { hitTokens, request, table } = context
    const usedTokens = (table.usedTokens[row] ?? 0) + generatedTokens(context, row)
    // An empty pod takes what it is given: a prompt beyond its capacity gets the pod's own answer.
    if (usedTokens === 0) return true
    const uncachedTokens = request.promptTokens - (hitTokens[row] ?? 0)
    return usedTokens + uncachedTokens <= shareMax * (table.kvCapacityTokens[row] ?? 0)
  }
}

/** How long what waits for its prefill there will take. */
const queueS = (table: PodTable, row: number, nowS: number): number =>
  prefillAheadS(table, row, nowS) * prefillSlowdown(table, row)
