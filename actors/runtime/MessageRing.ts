import type { PendingAsk } from "./PendingAsk.ts"

/**
 * The waiting messages of one actor, in order of arrival. Ordinary and reserved messages share the order but each
 * kind has its own bound, so a flood of one can't push out the other. Never grows.
 */
export class MessageRing<M> {
  readonly capacity: number
  readonly reservedCapacity: number
  /** The ask that came with the message last taken. */
  takenAsk: PendingAsk | undefined = undefined
  private readonly messages: Array<M | undefined>
  private readonly asks: Array<PendingAsk | undefined>
  private readonly reservedSlots: Uint8Array
  private readonly mask: number
  private head = 0
  private ordinaryCount = 0
  private reservedCount = 0

  constructor(capacity: number, reservedCapacity: number) {
    this.capacity = capacity
    this.reservedCapacity = reservedCapacity
    let slots = 1
    while (slots < capacity + reservedCapacity) slots *= 2
    this.mask = slots - 1
    this.messages = Array.from({ length: slots })
    this.asks = Array.from({ length: slots })
    this.reservedSlots = new Uint8Array(slots)
  }

  get size(): number {
    return this.ordinaryCount + this.reservedCount
  }

  get full(): boolean {
    return this.ordinaryCount >= this.capacity
  }

  /** False when the ordinary room is full. */
  offer(message: M, ask: PendingAsk | undefined): boolean {
    if (this.ordinaryCount >= this.capacity) return false
    const slot = (this.head + this.size) & this.mask
    this.messages[slot] = message
    this.asks[slot] = ask
    this.reservedSlots[slot] = 0
    this.ordinaryCount++
    return true
  }

  /** False when the reserved room is full. */
  offerReserved(message: M): boolean {
    if (this.reservedCount >= this.reservedCapacity) return false
    const slot = (this.head + this.size) & this.mask
    this.messages[slot] = message
    this.reservedSlots[slot] = 1
    this.reservedCount++
    return true
  }

  /** The oldest message; undefined when none waits. */
  take(): M | undefined {
    if (this.size === 0) return undefined
    const slot = this.head
    const message = this.messages[slot]
    this.takenAsk = this.asks[slot]
    this.messages[slot] = undefined
    this.asks[slot] = undefined
    if (this.reservedSlots[slot] === 1) this.reservedCount--
    else this.ordinaryCount--
    this.head = (slot + 1) & this.mask
    return message
  }
}
