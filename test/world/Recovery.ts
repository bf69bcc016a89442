import type { PodId } from "../../src/core/Pod.ts"
import type { Crashes } from "./Crashes.ts"
import type { FaultyFleet } from "./FaultyFleet.ts"
import type { WorldGateway } from "./WorldGateway.ts"

/** A pod that is well and listed gets requests after this: a scrape's pause, a question under way, an inspection. */
const RECOVERED_WITHIN_MS = 3500
/** A source that could not be read is asked again after two seconds at the latest. */
const LISTED_WITHIN_MS = 2500
/** An actor that crashed five times has been away for as long, all in all. */
const ACTOR_BACK_MS = 3500
/** One that gave up is started anew after five seconds. */
const POD_ACTOR_BACK_MS = 5000 + ACTOR_BACK_MS

/** Says which pod should have its requests back by now. */
export class Recovery {
  private readonly fleet: FaultyFleet
  private readonly listedSinceMs: ReadonlyMap<PodId, number>
  private readonly crashes: Crashes

  constructor(fleet: FaultyFleet, listedSinceMs: ReadonlyMap<PodId, number>, crashes: Crashes) {
    this.fleet = fleet
    this.listedSinceMs = listedSinceMs
    this.crashes = crashes
  }

  /** `accepts`: what the scheduler was told. */
  look({ startedMs }: WorldGateway, nowMs: number, accepts: (id: PodId) => boolean): ReadonlyArray<string> {
    const faults: Array<string> = []
    for (const { address: { id }, isWell, wellSinceMs } of this.fleet.pods) {
      const listedMs = this.listedSinceMs.get(id)
      if (!isWell || listedMs === undefined || accepts(id)) continue
      const sinceMs = Math.max(
        wellSinceMs,
        startedMs,
        listedMs + LISTED_WITHIN_MS,
        this.crashes.lastMs("discovery") + ACTOR_BACK_MS,
        this.crashes.lastMs("pool") + ACTOR_BACK_MS,
        this.crashes.lastMs(`pod ${id}`) + POD_ACTOR_BACK_MS
      )
      if (nowMs - sinceMs > RECOVERED_WITHIN_MS) {
        faults.push(`${id} is well, but gets no request for ${nowMs - sinceMs} ms`)
      }
    }
    return faults
  }
}
