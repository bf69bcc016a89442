import { DrainRate } from "./DrainRate.ts"
import type { WaitingRoom } from "./WaitingRoom.ts"

/** Bands whose pace is known. */
const RATES_MAX = 64
/** A client is never told to stay away longer. */
const RETRY_AFTER_MAX_S = 60

/** How fast those that wait go on: in all, and by band. */
export class Paces {
  private readonly ofAll = new DrainRate()
  /** By priority: the pace of that band and those below it, which is what is left for them. */
  private readonly rates = new Map<number, DrainRate>()

  /** Time went by since the last call, with the room as it is now. */
  pass(nowS: number, room: WaitingRoom<unknown>): void {
    this.ofAll.pass(nowS, room.count > room.podlessCount)
    for (const [priority, rate] of this.rates) rate.pass(nowS, room.hasUpTo(priority))
  }

  /** One that waited was sent off. */
  sentOff(priority: number, ownS: number): void {
    const { ofAll, rates } = this
    ofAll.left(ownS)
    if (!rates.has(priority)) {
      const oldest = rates.size >= RATES_MAX ? rates.keys().next() : undefined
      if (oldest?.done === false) rates.delete(oldest.value)
      rates.set(priority, new DrainRate())
    }
    for (const [from, rate] of rates) if (priority <= from) rate.left(ownS)
  }

  /** How long work ahead in a band takes at the pace of the band; 0 while that pace is not known. */
  forS(priority: number, workS: number): number {
    const perS = this.rates.get(priority)?.workPerS
    return perS === undefined ? 0 : workS / Math.max(perS, 1e-9)
  }

  /** When room may be expected for one more than those in line; at least a second. */
  retryAfterS(inLine: number): number {
    const perS = this.ofAll.requestsPerS
    if (perS === undefined) return 1
    return Math.min(RETRY_AFTER_MAX_S, Math.max(1, Math.ceil(inLine / Math.max(perS, 1 / RETRY_AFTER_MAX_S))))
  }
}
