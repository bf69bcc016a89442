import type { PendingAsk } from "./PendingAsk.ts"

/**
 * The waiting messages of one actor, in order of arrival. Ordinary and reserved messages share the order but each
 * kind has its own bound, so a flood of one can't push out the other. Grows only when it is given larger bounds.
 */
export class MessageRing<M> {
  capacity = 0
  reservedCapacity = 0
  /** The ask that came with the message last taken. */
  takenAsk: PendingAsk | undefined = undefined
  private messages: Array<M | undefined> = []
  private asks: Array<PendingAsk | undefined> = []
  private reservedSlots = new Uint8Array(0)
  private mask = 0
  private head = 0
  private ordinaryCount = 0
  private reservedCount = 0

  constructor(capacity: number, reservedCapacity: number) {
    this.resize(capacity, reservedCapacity)
  }

  /** Other bounds from now on; what waits stays, beyond smaller ones too. */
  resize(capacity: number, reservedCapacity: number): void {
    this.capacity = capacity
    this.reservedCapacity = reservedCapacity
    const needed = Math.max(capacity, this.ordinaryCount) + Math.max(reservedCapacity, this.reservedCount)
    let slots = Math.max(1, this.messages.length)
    while (slots < needed) slots *= 2
    if (slots === this.messages.length) return
    const { asks, head, mask, messages, reservedSlots, size } = this
    this.messages = Array.from({ length: slots })
    this.asks = Array.from({ length: slots })
    this.reservedSlots = new Uint8Array(slots)
    for (let i = 0; i < size; i++) {
      const from = (head + i) & mask
      this.messages[i] = messages[from]
      this.asks[i] = asks[from]
      this.reservedSlots[i] = reservedSlots[from] ?? 0
    }
    this.head = 0
    this.mask = slots - 1
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
