import type { PodId } from "../../src/core/Pod.ts"
import { GatewayError } from "../../src/errors.ts"
import type { Crashes } from "./Crashes.ts"
import type { FaultyFleet } from "./FaultyFleet.ts"
import type { WorldGateway } from "./WorldGateway.ts"
import type { WorldExchange } from "./WorldExchange.ts"

/** Those that wait are looked at so often, and the end of their time comes before what came in between. */
const NOTICED_WITHIN_MS = 60
/** How long the scheduler may be away in one go, and an ask's deadline behind it. */
const SCHEDULER_AWAY_MS = 2000

/** Says whether a request could be refused as it was, by what pods are and what the scheduler was told of them. */
export class Refusals {
  private readonly fleet: FaultyFleet
  private readonly crashes: Crashes
  private readonly nowMs: () => number
  /** Breakers. */
  private readonly closedSinceMs = new Map<PodId, number>()
  /** Since when the scheduler knows that the pod takes requests. */
  private readonly acceptsSinceMs: (id: PodId) => number | undefined

  constructor(
    fleet: FaultyFleet,
    crashes: Crashes,
    nowMs: () => number,
    acceptsSinceMs: (id: PodId) => number | undefined
  ) {
    this.fleet = fleet
    this.crashes = crashes
    this.nowMs = nowMs
    this.acceptsSinceMs = acceptsSinceMs
  }

  /** All is quiet. */
  look({ scheduler: { view: { guard, table } } }: WorldGateway): void {
    for (const { address: { id } } of this.fleet.pods) {
      const row = table.rowOf(id)
      if (row < 0 || guard.stateOf(row) !== "closed") this.closedSinceMs.delete(id)
      else if (!this.closedSinceMs.has(id)) this.closedSinceMs.set(id, this.nowMs())
    }
  }

  /** A pod that would take the request, as the scheduler has known for a while. */
  takerOf({ gateway, request: { features } }: WorldExchange, excluded: ReadonlyArray<string>): PodId | undefined {
    const { guard, table } = gateway.scheduler.view
    for (const { address: { id }, models } of this.fleet.pods) {
      const toldMs = this.acceptsSinceMs(id)
      const closedMs = this.closedSinceMs.get(id)
      if (toldMs === undefined || closedMs === undefined || excluded.includes(id)) continue
      if (Math.max(toldMs, closedMs) > this.nowMs() - NOTICED_WITHIN_MS || !models.includes(features.model)) continue
      if (guard.stateOf(table.rowOf(id)) === "closed") return id
    }
    return undefined
  }

  /** Why it should not have been refused with this; undefined when that is in order. */
  faultOf(exchange: WorldExchange, error: unknown, excluded: ReadonlyArray<string>): string | undefined {
    if (!(error instanceof GatewayError)) return `was refused with ${String(error)}`
    const { gateway } = exchange
    const hasCrashed = this.crashes.within("scheduler", SCHEDULER_AWAY_MS) || gateway.lost === "scheduler"
    switch (error.code) {
      case "no_pod_available":
      case "model_not_found": {
        const taker = hasCrashed ? undefined : this.takerOf(exchange, excluded)
        return taker === undefined ? undefined : `was refused with ${error.code}, though ${taker} takes it`
      }
      case "internal_error":
      case "timed_out":
        return hasCrashed ? undefined : `was refused with ${error.code} by a scheduler that did not crash`
      case "gateway_stopping":
        return this.crashes.staysDown("scheduler") || !gateway.isOpen ? undefined : "was told of a stop"
      default:
        return undefined
    }
  }
}
