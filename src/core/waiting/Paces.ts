import { DrainRate } from "./DrainRate.ts"
import { Overload } from "./Overload.ts"
import type { WaitingRoom } from "./WaitingRoom.ts"

/** Bands whose pace is known. */
const BANDS_MAX = 64
/** A client is never told to stay away longer. */
const RETRY_AFTER_MAX_S = 60

interface BandPace {
  /** Of the band and those below it, which is what is left for them; undefined until one of the band was sent off. */
  rate: DrainRate | undefined
  /** Of the band alone. */
  readonly overload: Overload
}

/** How fast those that wait go on, in all and by band, and whether more come than go on. */
export class Paces {
  private readonly ofAll = new DrainRate()
  /** By priority. */
  private readonly bands = new Map<number, BandPace>()

  /** Time went by since the last call, with the room as it is now. */
  pass(nowS: number, room: WaitingRoom<unknown>, overloadAfterS: number): void {
    this.ofAll.pass(nowS, room.count > room.podlessCount)
    for (const [priority, { overload, rate }] of this.bands) {
      rate?.pass(nowS, room.hasUpTo(priority))
      overload.pass(nowS, overloadAfterS)
    }
  }

  /** One came that has to wait, whatever becomes of it. */
  asked(priority: number, ownS: number): void {
    this.bandOf(priority).overload.asked(ownS)
  }

  /** One that waited was sent off. */
  sentOff(priority: number, ownS: number): void {
    this.ofAll.left(ownS)
    const band = this.bandOf(priority)
    band.overload.sentOff(ownS)
    band.rate ??= new DrainRate()
    for (const [from, { rate }] of this.bands) if (priority <= from) rate?.left(ownS)
  }

  /** How long work ahead in a band takes at the pace of the band; 0 while that pace is not known. */
  forS(priority: number, workS: number): number {
    const perS = this.bands.get(priority)?.rate?.workPerS
    return perS === undefined ? 0 : workS / Math.max(perS, 1e-9)
  }

  isOverloaded(priority: number): boolean {
    return this.bands.get(priority)?.overload.persists === true
  }

  /** When room may be expected for one more than those in line and those that were too many of late; at least a second. */
  retryAfterS(inLine: number): number {
    const perS = this.ofAll.requestsPerS
    let forS = perS === undefined ? 0 : inLine / Math.max(perS, 1 / RETRY_AFTER_MAX_S)
    for (const { overload } of this.bands.values()) forS = Math.max(forS, overload.excessS)
    return Math.min(RETRY_AFTER_MAX_S, Math.max(1, Math.ceil(forS)))
  }

  private bandOf(priority: number): BandPace {
    const { bands } = this
    let band = bands.get(priority)
    if (band === undefined) {
      const oldest = bands.size >= BANDS_MAX ? bands.keys().next() : undefined
      if (oldest?.done === false) bands.delete(oldest.value)
      band = { rate: undefined, overload: new Overload() }
      bands.set(priority, band)
    }
    return band
  }
}
