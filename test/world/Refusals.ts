import type { PodId } from "../../src/core/Pod.ts"
import type { PodTable } from "../../src/core/PodTable.ts"
import { fleetRoomDefaults } from "../../src/core/waiting/FleetRoom.ts"
import { GatewayError } from "../../src/errors.ts"
import type { Crashes } from "./Crashes.ts"
import type { FaultyFleet } from "./FaultyFleet.ts"
import { SLOW_START_S, type WorldGateway } from "./WorldGateway.ts"
import type { WorldExchange } from "./WorldExchange.ts"

/** Those without a pod are looked at when one comes, and the end of their time may come first by a tick of 50 ms. */
const NOTICED_WITHIN_MS = 60
/** Who waits out of line is looked at so often, and then tried. */
const BACK_IN_LINE_MS = 250
/** A pod that came back gets only some requests at first. */
const SLOW_MS = 1000 * SLOW_START_S + 500
/** Nobody in line waits for so long with an idle pod before it. */
const IDLE_MS = 500
/** How long the scheduler may be away in one go, and an ask's deadline behind it. */
const SCHEDULER_AWAY_MS = 2000

/** Requests at a pod; one that has no row is never idle. */
const openAt = (table: PodTable, row: number): number =>
  row < 0 ? 1 : (table.prefilling[row] ?? 0) + (table.decoding[row] ?? 0)

/** Says whether a request could be refused as it was, by what pods are and what the scheduler was told of them. */
export class Refusals {
  private readonly fleet: FaultyFleet
  private readonly crashes: Crashes
  private readonly nowMs: () => number
  /** Breakers. */
  private readonly closedSinceMs = new Map<PodId, number>()
  private readonly idleSinceMs = new Map<PodId, number>()
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

  /** Keeps in mind which breakers are closed and which pods idle; of a gateway on its way down too. */
  note({ scheduler: { view: { guard, table } } }: WorldGateway): void {
    const nowMs = this.nowMs()
    for (const { address: { id } } of this.fleet.pods) {
      const row = table.rowOf(id)
      if (row < 0 || guard.stateOf(row) !== "closed") this.closedSinceMs.delete(id)
      else if (!this.closedSinceMs.has(id)) this.closedSinceMs.set(id, nowMs)
      const open = openAt(table, row)
      // A strained one gets only what no other can take.
      if (open > 0 || table.strained[row] === 1 || !this.closedSinceMs.has(id)) this.idleSinceMs.delete(id)
      else if (!this.idleSinceMs.has(id)) this.idleSinceMs.set(id, nowMs)
    }
  }

  /** All is quiet and noted. Says who waits though nothing is there to wait for. */
  look(gateway: WorldGateway): string | undefined {
    const { room, view: { guard, table } } = gateway.scheduler
    for (const { address: { id } } of this.fleet.pods) {
      const row = table.rowOf(id)
      if (openAt(table, row) === 0 && guard.stateOf(row) === "half-open" && guard.blocks(row, gateway.nowS)) {
        return `the breaker of ${id} waits for a try that nobody makes`
      }
    }
    if (room.count === 0 || this.crashes.within("scheduler", SCHEDULER_AWAY_MS)) return undefined
    for (const { excluded, request: { model } } of room.podless()) {
      const taker = this.takerOf(gateway, model, excluded, BACK_IN_LINE_MS)
      if (taker !== undefined) return `a request waits out of line, though ${taker} takes it`
    }
    return room.count > room.podlessCount ? this.idlerOf(gateway) : undefined
  }

  /** A pod does nothing while somebody in line could go there. */
  private idlerOf({ bounds, nowS, scheduler: { room, view } }: WorldGateway): string | undefined {
    if (view.openRequests >= bounds.limits.openRequestsMax) return undefined
    for (const { address: { id }, models } of this.fleet.pods) {
      const sinceMs = Math.max(
        this.idleSinceMs.get(id) ?? Infinity,
        (this.acceptsSinceMs(id) ?? Infinity) + SLOW_MS,
        (this.closedSinceMs.get(id) ?? Infinity) + SLOW_MS
      )
      if (this.nowMs() - sinceMs < IDLE_MS) continue
      for (const { arrivedS, excluded, podlessSinceS, request: { model, promptTokens } } of room) {
        // A giant spares what others are likely to come back for, as long as it has patience.
        if (nowS - arrivedS < IDLE_MS / 1000 || promptTokens >= fleetRoomDefaults.giantTokens) continue
        if (podlessSinceS !== undefined || !models.includes(model) || excluded.includes(id)) continue
        return `${id} is idle for ${this.nowMs() - sinceMs} ms while a request waits in line`
      }
    }
    return undefined
  }

  /** A pod that would take the request, as the scheduler has known for a while. */
  takerOf(
    { scheduler: { view } }: WorldGateway,
    model: string,
    excluded: ReadonlyArray<string>,
    forMs: number
  ): PodId | undefined {
    for (const { address: { id }, models } of this.fleet.pods) {
      const toldMs = this.acceptsSinceMs(id)
      const closedMs = this.closedSinceMs.get(id)
      if (toldMs === undefined || closedMs === undefined || excluded.includes(id)) continue
      if (Math.max(toldMs, closedMs) > this.nowMs() - forMs || !models.includes(model)) continue
      if (view.guard.stateOf(view.table.rowOf(id)) === "closed") return id
    }
    return undefined
  }

  /** A pod is picked though it answers no question about itself. Says which other one is as free to take the request. */
  betterThan(id: PodId, exchange: WorldExchange, excluded: ReadonlyArray<string>): string | undefined {
    const { gateway, request: { features: { model, outputTokensMax = 1, promptTokens } } } = exchange
    const { scheduler: { view: { guard, table } } } = gateway
    if (table.strained[table.rowOf(id)] !== 1 || this.crashes.within("scheduler", SCHEDULER_AWAY_MS)) return undefined
    const better = this.fleet.pods.find(({ address: { id: other }, kvCapacityTokens, models }) => {
      if (kvCapacityTokens < promptTokens + outputTokensMax) return false
      const row = table.rowOf(other)
      const isFree = guard.stateOf(row) === "closed" && !guard.isStuck(row, gateway.nowS) &&
        guard.rampShare(row, gateway.nowS) === 1
      const toldMs = this.acceptsSinceMs(other)
      return isFree && toldMs !== undefined && toldMs < this.nowMs() - NOTICED_WITHIN_MS && models.includes(model) &&
        !excluded.includes(other)
    })
    return better && `${id} was picked, which answers no question, though ${better.address.id} does and takes it`
  }

  /** Why it should not have been refused with this; undefined when that is in order. */
  faultOf(exchange: WorldExchange, error: unknown, excluded: ReadonlyArray<string>): string | undefined {
    if (!(error instanceof GatewayError)) return `was refused with ${String(error)}`
    const { gateway } = exchange
    const hasCrashed = this.crashes.within("scheduler", SCHEDULER_AWAY_MS) || gateway.lost === "scheduler"
    switch (error.code) {
      case "no_pod_available":
      case "model_not_found": {
        const taker = hasCrashed
          ? undefined
          : this.takerOf(gateway, exchange.request.features.model, excluded, NOTICED_WITHIN_MS)
        return taker === undefined ? undefined : `was refused with ${error.code}, though ${taker} takes it`
      }
      case "queue_full":
        return hasCrashed ? undefined : this.crowdedOut(exchange, excluded)
      case "internal_error":
      case "timed_out":
        return hasCrashed ? undefined : `was refused with ${error.code} by a scheduler that did not crash`
      case "gateway_stopping":
        return this.crashes.staysDown("scheduler") || !gateway.isOpen ? undefined : "was told of a stop"
      default:
        return undefined
    }
  }

  /** It could go to a pod, and those give way who can't, of its band and of lower ones. */
  private crowdedOut(
    { gateway, request: { features: { model, wish } } }: WorldExchange,
    excluded: ReadonlyArray<string>
  ): string | undefined {
    const { bounds: { limits }, nowS, scheduler: { room } } = gateway
    const taker = this.takerOf(gateway, model, excluded, NOTICED_WITHIN_MS)
    if (taker === undefined || wish === undefined) return undefined
    let count = 0
    let bytes = 0
    for (const { podlessSinceS, terms } of room.podless()) {
      if (terms.priority > wish.priority || podlessSinceS === undefined || podlessSinceS >= nowS) continue
      count++
      bytes += terms.bytes
    }
    const bytesLeft = limits.waitingBytesMax - room.bytes + bytes
    if (count === 0 || room.count - count >= limits.waitingMax || bytesLeft < wish.bytes) return undefined
    return `found the queue full of ${count} for which there is no pod, though ${taker} takes it`
  }
}
