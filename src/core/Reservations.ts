import { type BlockChain, emptyChain } from "./BlockChain.ts"

/** What a slot says of its request. */
const FREE = 0
export const PREFILLING = 1
export const DECODING = 2
/** Its first token was due but not seen, so it counts as decoding and its prompt as not computed. */
export const DUE = 3

/**
 * Every open request's charge on its pod, as columns. A reservation number names a slot and its generation,
 * so a number that was given back already finds nothing: releasing twice is harmless by construction.
 */
export class Reservations {
  readonly slotsMax: number
  open = 0

  readonly state: Uint8Array
  readonly row: Int32Array
  /** Life of the pod that the charge belongs to; a pod that restarted or left has a newer one. */
  readonly podLife: Uint32Array
  readonly ownS: Float64Array
  readonly uncachedTokens: Float64Array
  readonly contextTokens: Float64Array
  readonly promptTokens: Float64Array
  /** When it was seen; only while decoding. */
  readonly firstTokenS: Float64Array
  readonly tokensPerBlock: Float64Array
  /** What the request holds in the pod's sketch, and the prompt's blocks until they are known to be computed. */
  readonly lease: Float64Array
  readonly chain: Array<BlockChain>
  readonly model: Array<string>

  private readonly generation: Uint32Array
  private readonly freeSlots: Uint32Array
  private freeCount: number

  constructor(slotsMax: number) {
    this.slotsMax = slotsMax
    const floats = () => new Float64Array(slotsMax)
    this.state = new Uint8Array(slotsMax)
    this.row = new Int32Array(slotsMax)
    this.podLife = new Uint32Array(slotsMax)
    this.ownS = floats()
    this.uncachedTokens = floats()
    this.contextTokens = floats()
    this.promptTokens = floats()
    this.firstTokenS = floats()
    this.tokensPerBlock = floats()
    this.lease = floats()
    this.chain = Array.from<BlockChain>({ length: slotsMax }).fill(emptyChain)
    this.model = Array.from<string>({ length: slotsMax }).fill("")
    this.generation = new Uint32Array(slotsMax)
    this.freeSlots = new Uint32Array(slotsMax)
    for (let i = 0; i < slotsMax; i++) this.freeSlots[i] = slotsMax - 1 - i
    this.freeCount = slotsMax
  }

  /** A slot to fill in, or -1 when all are taken. */
  take(): number {
    if (this.freeCount === 0) return -1
    const slot = this.freeSlots[--this.freeCount] ?? 0
    this.state[slot] = PREFILLING
    this.open++
    return slot
  }

  giveBack(slot: number): void {
    this.state[slot] = FREE
    this.model[slot] = ""
    this.chain[slot] = emptyChain
    this.generation[slot] = ((this.generation[slot] ?? 0) + 1) >>> 0
    this.freeSlots[this.freeCount++] = slot
    this.open--
  }

  numberOf(slot: number): number {
    return (this.generation[slot] ?? 0) * this.slotsMax + slot
  }

  /** The slot of an open reservation, or -1 when it was given back or never existed. */
  slotOf(reservation: number): number {
    if (!Number.isSafeInteger(reservation) || reservation < 0) return -1
    const slot = reservation % this.slotsMax
    const generation = (reservation - slot) / this.slotsMax
    return this.state[slot] !== FREE && this.generation[slot] === generation ? slot : -1
  }
}
