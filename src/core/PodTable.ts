import type { EngineConstants } from "./EngineConstants.ts"
import type { LoraActivity } from "./LoraActivity.ts"
import type { PodAddress, PodId } from "./Pod.ts"

/**
 * The fleet as columns: row = pod, one typed array a fact, so that a pick over 1,000 pods touches no object.
 * The scheduler is its only writer; pod actors tell it facts by message.
 */
export class PodTable {
  readonly rowsMax: number
  /** Rows in use are 0..rowCount-1; a removed pod leaves a hole (`live` 0) that the next one takes. */
  rowCount = 0
  readonly addresses: Array<PodAddress | undefined> = []
  /** 1 while the row names a pod. */
  readonly live: Uint8Array
  /** 1 when new requests may go there (healthy, awake, not draining). */
  readonly accepting: Uint8Array
  /** 1 while it answers no question about itself, and requests all the same: for those that no other pod can take. */
  readonly strained: Uint8Array

  // Geometry and constants, set when the pod joins or reports its cache configuration.
  readonly blockSizeTokens: Uint32Array
  readonly kvCapacityTokens: Float64Array
  readonly prefillTokenS: Float64Array
  readonly attentionPairS: Float64Array
  readonly weightReadS: Float64Array
  readonly stepFixedS: Float64Array
  readonly decodeRequestS: Float64Array
  readonly contextTokenS: Float64Array
  readonly batchedTokensMax: Float64Array

  // Reservations: what we sent there and has not ended.
  /** Requests sent, first token not yet seen (m). */
  readonly prefilling: Uint32Array
  /** Requests past their first token (n). */
  readonly decoding: Uint32Array
  /** Sum of the prefill seconds of the `prefilling` requests. */
  readonly prefillAheadS: Float64Array
  /** Uncached prompt tokens of the `prefilling` requests. */
  readonly prefillAheadTokens: Float64Array
  /** Context tokens of the `decoding` requests, half their expected output included (K). */
  readonly decodingTokens: Float64Array
  /** Context tokens that the `prefilling` requests will have once they decode. */
  readonly prefillingTokens: Float64Array
  /** KV tokens of the prompts of requests in flight, a prefix shared between them counted once. */
  readonly usedTokens: Float64Array
  /** Sum of the times at which the `decoding` requests gave their first token. */
  readonly decodingSinceS: Float64Array
  /** Uncached tokens of prompts mostly new to the pod, fading since `coldAtS`; see `coldTokens` of cost.ts. */
  readonly coldTokens: Float64Array
  readonly coldAtS: Float64Array
  /** When the pod last gave a first token or, if later, when its prefill queue last became non-empty. */
  readonly prefillSinceS: Float64Array

  // Load that others put there: what two scrapes in a row saw beyond our own.
  readonly foreignRunning: Float64Array
  readonly foreignWaiting: Float64Array

  // What the pod said of itself at the last scrape.
  readonly observedRunning: Float64Array
  readonly observedWaiting: Float64Array
  /** In [0, 1]. */
  readonly observedKvUsage: Float64Array
  /** Its adapters; undefined while none was asked for. */
  readonly lora: Array<LoraActivity | undefined> = []
  /** When it said so, on the scheduler's clock; -1: never. */
  readonly observedAtS: Float64Array

  private readonly rowsById = new Map<PodId, number>()

  constructor(rowsMax: number) {
    this.rowsMax = rowsMax
    const floats = () => new Float64Array(rowsMax)
    this.live = new Uint8Array(rowsMax)
    this.accepting = new Uint8Array(rowsMax)
    this.strained = new Uint8Array(rowsMax)
    this.blockSizeTokens = new Uint32Array(rowsMax)
    this.kvCapacityTokens = floats()
    this.prefillTokenS = floats()
    this.attentionPairS = floats()
    this.weightReadS = floats()
    this.stepFixedS = floats()
    this.decodeRequestS = floats()
    this.contextTokenS = floats()
    this.batchedTokensMax = floats()
    this.prefilling = new Uint32Array(rowsMax)
    this.decoding = new Uint32Array(rowsMax)
    this.prefillAheadS = floats()
    this.prefillAheadTokens = floats()
    this.decodingTokens = floats()
    this.prefillingTokens = floats()
    this.usedTokens = floats()
    this.decodingSinceS = floats()
    this.coldTokens = floats()
    this.coldAtS = floats()
    this.prefillSinceS = floats()
    this.foreignRunning = floats()
    this.foreignWaiting = floats()
    this.observedRunning = floats()
    this.observedWaiting = floats()
    this.observedKvUsage = floats()
    this.observedAtS = floats()
  }

  /** Row of a pod, or -1. */
  rowOf(id: PodId): number {
    return this.rowsById.get(id) ?? -1
  }

  /** Takes the first free row, zeroed; -1 when the table is full. */
  add(address: PodAddress): number {
    let row = 0
    while (row < this.rowCount && this.live[row] === 1) row++
    if (row === this.rowsMax) return -1
    if (row === this.rowCount) this.rowCount++
    this.clear(row)
    this.addresses[row] = address
    this.live[row] = 1
    this.rowsById.set(address.id, row)
    return row
  }

  remove(row: number): void {
    const address = this.addresses[row]
    if (address !== undefined) this.rowsById.delete(address.id)
    this.clear(row)
    while (this.rowCount > 0 && this.live[this.rowCount - 1] === 0) this.rowCount--
  }

  /** Forgets every reservation of a pod: it restarted, so nothing we sent is still running there. */
  clearReservations(row: number): void {
    this.prefilling[row] = 0
    this.decoding[row] = 0
    this.prefillAheadS[row] = 0
    this.prefillAheadTokens[row] = 0
    this.decodingTokens[row] = 0
    this.prefillingTokens[row] = 0
    this.usedTokens[row] = 0
    this.decodingSinceS[row] = 0
    this.foreignRunning[row] = 0
    this.foreignWaiting[row] = 0
  }

  setConstants(row: number, e: EngineConstants): void {
    this.prefillTokenS[row] = e.prefillTokenS
    this.attentionPairS[row] = e.attentionPairS
    this.weightReadS[row] = e.weightReadS
    this.stepFixedS[row] = e.stepFixedS
    this.decodeRequestS[row] = e.decodeRequestS
    this.contextTokenS[row] = e.contextTokenS
    this.batchedTokensMax[row] = e.batchedTokensMax
    this.kvCapacityTokens[row] = e.kvCapacityTokens
  }

  private clear(row: number): void {
    this.addresses[row] = undefined
    this.live[row] = 0
    this.accepting[row] = 0
    this.strained[row] = 0
    this.blockSizeTokens[row] = 0
    this.kvCapacityTokens[row] = 0
    this.prefillSinceS[row] = 0
    this.coldTokens[row] = 0
    this.coldAtS[row] = 0
    this.observedRunning[row] = 0
    this.observedWaiting[row] = 0
    this.observedKvUsage[row] = 0
    this.observedAtS[row] = -1
    this.lora[row] = undefined
    this.clearReservations(row)
  }
}
