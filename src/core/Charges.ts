import { emptyChain } from "./BlockChain.ts"
import { coldTokens, isCold, ownPrefillS } from "./cost.ts"
import { DueHeap } from "./DueHeap.ts"
import type { PodTable } from "./PodTable.ts"
import type { PickContext } from "./Policy.ts"
import { DECODING, DUE, PREFILLING, Reservations } from "./Reservations.ts"
import type { ShadowKv } from "./prefix/ShadowKv.ts"

/** Blocks beyond the hashed ones that a running request holds: the partial one at its end. */
const EXTRA_BLOCKS = 1
/** A shadow is resized when the text's tokens per block say that its capacity is off by more than this share. */
const CAPACITY_DRIFT_MAX = 0.05

/**
 * What open requests are charged to their pods: load in the pod table, blocks in the pods' shadows. Charged at the
 * pick, the prefill part released at the first token, the rest at the end, each once, whatever is told and how often.
 */
export class Charges {
  private readonly table: PodTable
  /** By row; whoever owns the fleet puts them in and takes them out. */
  private readonly shadows: ReadonlyArray<ShadowKv | undefined>
  private readonly reservations: Reservations
  private readonly podLives: Uint32Array
  private readonly unseenFirstTokens: DueHeap

  constructor(table: PodTable, shadows: ReadonlyArray<ShadowKv | undefined>, openRequestsMax: number) {
    this.table = table
    this.shadows = shadows
    this.reservations = new Reservations(openRequestsMax)
    this.podLives = new Uint32Array(table.rowsMax)
    this.unseenFirstTokens = new DueHeap(openRequestsMax)
  }

  /** As many requests may be open from now on; those that are open stay so, beyond a smaller bound too. */
  resize(openRequestsMax: number): void {
    this.reservations.resize(openRequestsMax)
    this.unseenFirstTokens.grow(openRequestsMax)
  }

  get open(): number {
    return this.reservations.open
  }

  get isFull(): boolean {
    return this.reservations.open >= this.reservations.slotsMax
  }

  /** Charges the request of the context to a row. Returns the reservation's number, -1 when all are taken. */
  charge(context: PickContext, row: number, predictedTtftS: number): number {
    const slot = this.reservations.take()
    if (slot < 0) return -1
    this.reserve(slot, row, context)
    const reservation = this.reservations.numberOf(slot)
    // A plain answer never shows its first token; its prefill is taken as done when it was due.
    if (!context.request.streams) this.unseenFirstTokens.push(context.nowS + predictedTtftS, reservation)
    return reservation
  }

  /** The prefill part of the charge is released. Unknown and repeated numbers are ignored. */
  firstToken(reservation: number, nowS: number): void {
    const { reservations } = this
    const slot = reservations.slotOf(reservation)
    if (slot < 0 || reservations.state[slot] === DECODING) return
    const row = this.rowOfSlot(slot)
    if (reservations.state[slot] === PREFILLING) this.startDecoding(slot, row, nowS)
    reservations.state[slot] = DECODING
    if (row < 0) return
    this.shadows[row]?.prefilled(reservations.lease[slot] ?? -1, reservations.chain[slot] ?? emptyChain, nowS)
    reservations.chain[slot] = emptyChain
  }

  /** The whole charge is released. Returns the model; undefined for unknown and repeated numbers, which are ignored. */
  end(reservation: number, outputTokens: number, nowS: number): string | undefined {
    const { reservations } = this
    const slot = reservations.slotOf(reservation)
    if (slot < 0) return undefined
    const model = reservations.model[slot] ?? ""
    const row = this.rowOfSlot(slot)
    try {
      if (row >= 0) this.release(slot, row, outputTokens, nowS)
    } finally {
      reservations.giveBack(slot)
    }
    return model
  }

  /** The row that an open reservation is charged to; -1 when there is none, or that life of the pod is over. */
  rowOf(reservation: number): number {
    const slot = this.reservations.slotOf(reservation)
    return slot < 0 ? -1 : this.rowOfSlot(slot)
  }

  /** Plain answers whose first token was due count as past it. */
  passUnseenFirstTokens(nowS: number): void {
    for (;;) {
      const reservation = this.unseenFirstTokens.popDue(nowS)
      if (reservation < 0) return
      const slot = this.reservations.slotOf(reservation)
      if (slot < 0 || this.reservations.state[slot] !== PREFILLING) continue
      this.startDecoding(slot, this.rowOfSlot(slot), nowS)
      // A pod that hangs or was never reached computed nothing, however long ago that was due.
      this.reservations.state[slot] = DUE
    }
  }

  /** Charges of the row's former life no longer count: the pod restarted, left, or changed its geometry. */
  newLife(row: number): void {
    this.podLives[row] = ((this.podLives[row] ?? 0) + 1) >>> 0
    this.table.clearReservations(row)
  }

  private startDecoding(slot: number, row: number, nowS: number): void {
    if (row < 0) return
    const { reservations, table } = this
    this.releasePrefill(slot, row)
    table.prefillSinceS[row] = nowS
    reservations.firstTokenS[slot] = nowS
    table.decoding[row] = (table.decoding[row] ?? 0) + 1
    table.decodingSinceS[row] = (table.decodingSinceS[row] ?? 0) + nowS
    table.decodingTokens[row] = (table.decodingTokens[row] ?? 0) + (reservations.contextTokens[slot] ?? 0)
  }

  private release(slot: number, row: number, outputTokens: number, nowS: number): void {
    const { reservations, table } = this
    // Without a first token the prompt's KV may never have been computed, so none of it is believed cached.
    const computed = reservations.state[slot] === DECODING
    if (reservations.state[slot] === PREFILLING) {
      this.releasePrefill(slot, row)
      table.prefillSinceS[row] = nowS
    } else {
      this.releaseDecode(slot, row)
    }
    this.releaseBlocks(slot, row, computed, outputTokens, nowS)
  }

  private reserve(slot: number, row: number, context: PickContext): void {
    const { reservations, table } = this
    const { nowS, request } = context
    const hitTokens = context.hitTokens[row] ?? 0
    const ownS = ownPrefillS(table, row, request.promptTokens, hitTokens)
    const contextTokens = request.promptTokens + context.outputTokens / 2
    reservations.row[slot] = row
    reservations.podLife[slot] = this.podLives[row] ?? 0
    reservations.ownS[slot] = ownS
    reservations.uncachedTokens[slot] = request.promptTokens - hitTokens
    reservations.contextTokens[slot] = contextTokens
    reservations.promptTokens[slot] = request.promptTokens
    reservations.model[slot] = request.model
    if (table.prefilling[row] === 0) table.prefillSinceS[row] = nowS
    table.prefilling[row] = (table.prefilling[row] ?? 0) + 1
    table.prefillAheadS[row] = (table.prefillAheadS[row] ?? 0) + ownS
    table.prefillAheadTokens[row] = (table.prefillAheadTokens[row] ?? 0) + request.promptTokens - hitTokens
    table.prefillingTokens[row] = (table.prefillingTokens[row] ?? 0) + contextTokens
    if (isCold(request.promptTokens, hitTokens)) {
      table.coldTokens[row] = coldTokens(table, row, nowS) + request.promptTokens - hitTokens
      table.coldAtS[row] = nowS
    }
    this.takeBlocks(slot, row, context)
  }

  private takeBlocks(slot: number, row: number, { nowS, request }: PickContext): void {
    const { reservations, table } = this
    const shadow = this.shadows[row]
    const blockSizeTokens = table.blockSizeTokens[row] ?? 0
    reservations.lease[slot] = -1
    reservations.tokensPerBlock[slot] = 0
    if (shadow === undefined || blockSizeTokens === 0) return
    const tokensPerBlock = request.tokensPerBlock(blockSizeTokens)
    const capacityBlocks = Math.max(1, Math.floor((table.kvCapacityTokens[row] ?? 0) / tokensPerBlock))
    if (Math.abs(capacityBlocks - shadow.capacityBlocks) > CAPACITY_DRIFT_MAX * shadow.capacityBlocks) {
      shadow.resize(capacityBlocks)
    }
    reservations.tokensPerBlock[slot] = tokensPerBlock
    const chain = request.chain(blockSizeTokens)
    reservations.chain[slot] = chain
    reservations.lease[slot] = shadow.admit(chain, EXTRA_BLOCKS, nowS)
    table.usedTokens[row] = shadow.usedBlocks * tokensPerBlock
  }

  private releaseBlocks(slot: number, row: number, computed: boolean, outputTokens: number, nowS: number): void {
    const { reservations, table } = this
    const shadow = this.shadows[row]
    const tokensPerBlock = reservations.tokensPerBlock[slot] ?? 0
    if (shadow === undefined || tokensPerBlock === 0) return
    // The answer begins in the prompt's last, partly filled block, and its last token has no KV.
    const tailTokens = (reservations.promptTokens[slot] ?? 0) % tokensPerBlock
    const outputBlocks = computed && outputTokens > 0 ? Math.ceil((tailTokens + outputTokens - 1) / tokensPerBlock) : 0
    shadow.release(reservations.lease[slot] ?? -1, computed, outputBlocks, nowS)
    table.usedTokens[row] = shadow.usedBlocks * tokensPerBlock
  }

  private releasePrefill(slot: number, row: number): void {
    const { reservations, table } = this
    const left = Math.max(0, (table.prefilling[row] ?? 0) - 1)
    table.prefilling[row] = left
    // Sums of floats drift; an empty queue is exactly zero.
    table.prefillAheadS[row] = left === 0
      ? 0
      : Math.max(0, (table.prefillAheadS[row] ?? 0) - (reservations.ownS[slot] ?? 0))
    table.prefillAheadTokens[row] = left === 0
      ? 0
      : Math.max(0, (table.prefillAheadTokens[row] ?? 0) - (reservations.uncachedTokens[slot] ?? 0))
    table.prefillingTokens[row] = left === 0
      ? 0
      : Math.max(0, (table.prefillingTokens[row] ?? 0) - (reservations.contextTokens[slot] ?? 0))
  }

  private releaseDecode(slot: number, row: number): void {
    const { reservations, table } = this
    const left = Math.max(0, (table.decoding[row] ?? 0) - 1)
    table.decoding[row] = left
    table.decodingSinceS[row] = left === 0
      ? 0
      : (table.decodingSinceS[row] ?? 0) - (reservations.firstTokenS[slot] ?? 0)
    table.decodingTokens[row] = left === 0
      ? 0
      : Math.max(0, (table.decodingTokens[row] ?? 0) - (reservations.contextTokens[slot] ?? 0))
  }

  /** The row that a slot's charge is on, or -1 when that life of the pod is over. */
  private rowOfSlot(slot: number): number {
    const row = this.reservations.row[slot] ?? -1
    return this.podLives[row] === this.reservations.podLife[slot] ? row : -1
  }
}
