import { type BlockChain, emptyChain } from "./BlockChain.ts"

/** What a slot says of its request. */
const FREE = 0
export const PREFILLING = 1
export const DECODING = 2
/** Its first token was due but not seen, so it counts as decoding and its prompt as not computed. */
export const DUE = 3

/** A reservation's number is its slot, and above that its generation. */
const SLOTS_MAX = 2 ** 20

/**
 * Every open request's charge on its pod, as columns. A reservation number names a slot and its generation,
 * so a number that was given back already finds nothing: releasing twice is harmless by construction.
 */
export class Reservations {
  /** At most `open`, 2^20 at most; a smaller one lets those that are open end. */
  slotsMax = 0
  open = 0

  state = new Uint8Array(0)
  row = new Int32Array(0)
  /** Life of the pod that the charge belongs to; a pod that restarted or left has a newer one. */
  podLife = new Uint32Array(0)
  ownS = new Float64Array(0)
  uncachedTokens = new Float64Array(0)
  contextTokens = new Float64Array(0)
  promptTokens = new Float64Array(0)
  /** When it was seen; only while decoding. */
  firstTokenS = new Float64Array(0)
  tokensPerBlock = new Float64Array(0)
  /** What the request holds in the pod's sketch, and the prompt's blocks until they are known to be computed. */
  lease = new Float64Array(0)
  readonly chain: Array<BlockChain> = []
  readonly model: Array<string> = []

  private generation = new Uint32Array(0)
  private freeSlots = new Uint32Array(0)
  private freeCount = 0

  constructor(slotsMax: number) {
    this.resize(slotsMax)
  }

  /** As many as this may be open from now on. The columns grow, and never shrink. */
  resize(slotsMax: number): void {
    if (slotsMax > SLOTS_MAX) throw new RangeError(`slotsMax ${slotsMax} is above ${SLOTS_MAX}`)
    this.slotsMax = slotsMax
    const before = this.state.length
    if (slotsMax <= before) return
    const floats = (column: Float64Array) => copied(column, new Float64Array(slotsMax))
    this.state = copied(this.state, new Uint8Array(slotsMax))
    this.row = copied(this.row, new Int32Array(slotsMax))
    this.podLife = copied(this.podLife, new Uint32Array(slotsMax))
    this.ownS = floats(this.ownS)
    this.uncachedTokens = floats(this.uncachedTokens)
    this.contextTokens = floats(this.contextTokens)
    this.promptTokens = floats(this.promptTokens)
    this.firstTokenS = floats(this.firstTokenS)
    this.tokensPerBlock = floats(this.tokensPerBlock)
    this.lease = floats(this.lease)
    this.generation = copied(this.generation, new Uint32Array(slotsMax))
    this.freeSlots = copied(this.freeSlots, new Uint32Array(slotsMax))
    for (let slot = before; slot < slotsMax; slot++) {
      this.chain.push(emptyChain)
      this.model.push("")
    }
    for (let slot = slotsMax - 1; slot >= before; slot--) this.freeSlots[this.freeCount++] = slot
  }

  /** A slot to fill in, or -1 when all are taken. */
  take(): number {
    if (this.open >= this.slotsMax) return -1
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
    return (this.generation[slot] ?? 0) * SLOTS_MAX + slot
  }

  /** The slot of an open reservation, or -1 when it was given back or never existed. */
  slotOf(reservation: number): number {
    if (!Number.isSafeInteger(reservation) || reservation < 0) return -1
    const slot = reservation % SLOTS_MAX
    const generation = (reservation - slot) / SLOTS_MAX
    return this.state[slot] !== FREE && this.generation[slot] === generation ? slot : -1
  }
}

const copied = <Column extends { readonly set: (values: ArrayLike<number>) => void }>(
  before: ArrayLike<number>,
  after: Column
): Column => {
  after.set(before)
  return after
}
