import type { SchedulerMessage } from "../../actors/SchedulerMessages.ts"
import type { Decision } from "../../actors/SchedulerPort.ts"
import type { PodId } from "../../src/core/Pod.ts"
import { PrefixIndex } from "../../src/core/prefix/PrefixIndex.ts"
import { ShadowKv } from "../../src/core/prefix/ShadowKv.ts"
import type { PodRecord } from "../../src/storage/SnapshotStore.ts"
import type { WorldSources } from "./WorldSources.ts"
import type { FaultyFleet } from "./FaultyFleet.ts"
import { FaultyPod, type PodLife } from "./FaultyPod.ts"
import { TurnOrder } from "./TurnOrder.ts"
import type { VirtualTime } from "./VirtualTime.ts"
import type { WorldExchange } from "./WorldExchange.ts"
import { BACK_WITHIN_MS, Crashes } from "./Crashes.ts"
import { Probes } from "./Probes.ts"
import { Recovery } from "./Recovery.ts"
import { Refusals } from "./Refusals.ts"
import type { WorldGateway } from "./WorldGateway.ts"
import { constants, type WorldPlan } from "./WorldPlan.ts"
import type { WorldRequest } from "./WorldRequest.ts"

/**
 * A pod that nothing comes back from is known to be dead after this: three scrapes a second apart that last a second
 * each, a look at its health, and as much again for one that was under way with a good answer.
 */
const KNOWN_DEAD_AFTER_MS = 12_000
/** Discovery, supervisor and pod actor hand on what a source says within this. */
const REMOVED_WITHIN_MS = 3000
/** How late the end of a wait may be noticed. */
const WAIT_SLACK_S = 0.25
const PROMPTS_KEPT = 150
/** Pool and discovery have been away for as long when they crashed five times. */
const REMOVER_BACK_MS = 3500
/** By one look more the gateway has seen which process is behind a pod. */
const LOOKS_TO_KNOW = 5
const crashText = /crashed; restarts|crashed and stays down|crashed while stopping|the actor of pod \S+ could not start/

interface Told {
  accepting: boolean
  atMs: number
}

/** Failures of a pod in a row since it was last known to be well. */
interface Streak {
  failures: number
  openedMs: number
  openUntilMs: number
}

/** Looks at a world all the time and says what must not be. What it knows comes from its own books, not the gateway's. */
export class Watch {
  readonly violations: Array<string> = []
  readonly turns: TurnOrder
  readonly outcomes = new Map<string, number>()
  settled = 0
  /** Every pod is well, and has been. */
  isCalm = false
  picks = 0
  recordsSeen = 0
  private readonly plan: WorldPlan
  private readonly time: VirtualTime
  private readonly fleet: FaultyFleet
  private readonly sources: WorldSources
  readonly crashes: Crashes
  readonly recovery: Recovery
  readonly refusals: Refusals
  private readonly outcomeOf = new Map<WorldExchange, string>()
  private readonly picking = new Map<WorldExchange, number>()
  private readonly placed = new Map<WorldExchange, Decision>()
  private readonly prompts: Array<WorldRequest> = []
  private told = new Map<PodId, Told>()
  private streaks = new Map<PodId, Streak>()
  private arrivals = 0
  private retries = 0
  private crashesLogged = 0
  /** Failures count for a breaker's promise from then on. */
  private breakersFromMs = 0
  /** The process behind a pod that the gateway has looked at, and how often. */
  private readonly livesSeen = new Map<PodId, { readonly life: PodLife; looks: number }>()
  /** When what was charged to a pod before was last forgotten, for certain and perhaps. */
  private readonly forgottenMs = new Map<PodId, number>()
  private readonly doubtMs = new Map<PodId, number>()
  private readonly blockSizes = new Map<PodId, number>()
  private readonly probes = new Probes()
  /** When a pod was last told to be there anew, or to take requests again. */
  private readonly cameBackMs = new Map<PodId, number>()

  constructor(
    plan: WorldPlan,
    time: VirtualTime,
    fleet: FaultyFleet,
    sources: WorldSources
  ) {
    this.sources = sources
    this.crashes = new Crashes(() => time.nowMs)
    this.recovery = new Recovery(fleet, sources.listedSinceMs, this.crashes)
    this.refusals = new Refusals(fleet, this.crashes, () => time.nowMs, (id) => {
      const told = this.told.get(id)
      return told?.accepting === true ? told.atMs : undefined
    })
    this.plan = plan
    this.time = time
    this.fleet = fleet
    this.turns = new TurnOrder((what) => this.violation(what))
  }

  /** What retries may be at the start is theirs. */
  retryDenied(why: string): void {
    if (why === "budget" && this.retries + 1 <= this.plan.retryBurst) {
      this.violation(`no retry is left after ${this.retries} of ${this.plan.retryBurst}`)
    }
  }

  violation(what: string): void {
    this.violations.push(`at ${(this.time.nowMs / 1000).toFixed(3)} s: ${what}`)
  }

  /** A new process of the gateway knows nothing. */
  gatewayStarts(): void {
    this.told = new Map()
    this.streaks = new Map()
    this.livesSeen.clear()
    this.probes.clear()
    this.crashes.clear()
    this.breakersFromMs = 0
    this.arrivals = 0
    this.retries = 0
    this.crashesLogged = 0
  }

  exchangeBegins(): void {
    this.arrivals++
  }

  /** Retries may be a share of the requests, and a few. */
  retried(): void {
    const { retryBurst, retryShare } = this.plan
    this.retries++
    const allowed = retryBurst + retryShare * this.arrivals
    // A sum of shares is not quite their product.
    if (this.retries > allowed + 1e-6) this.violation(`${this.retries} retries, ${allowed.toFixed(1)} may be`)
  }

  /** Errors are defects, but for those that this world has put there. */
  logged(gateway: WorldGateway, text: string): void {
    this.crashes.note(text)
    if (crashText.test(text)) {
      if (++this.crashesLogged > gateway.defects.fired) this.violation(`a crash that nobody caused: ${text}`)
      return
    }
    const pod = /pod (\S+) is out for .*its actor (?:gave up|could not start)/.exec(text)?.[1]
    const isFollowed = pod === undefined
      ? /scheduler failed on this request/.test(text) && this.crashes.within("scheduler", BACK_WITHIN_MS)
      : this.crashes.within(`pod ${pod}`, BACK_WITHIN_MS)
    if (!isFollowed) this.violation(`the gateway logged: ${text}`)
  }

  gatewayLost(): void {
    this.picking.clear()
    this.placed.clear()
    this.turns.clear()
  }

  overheard(message: SchedulerMessage): void {
    const nowMs = this.time.nowMs
    if (message._tag === "PodJoined") {
      this.told.set(message.address.id, { accepting: false, atMs: nowMs })
      this.doubtMs.set(message.address.id, nowMs)
      this.blockSizes.delete(message.address.id)
      this.cameBackMs.set(message.address.id, nowMs)
      this.streaks.delete(message.address.id)
      this.livesSeen.delete(message.address.id)
    } else if (message._tag === "PodObserved") {
      if (message.accepting) this.sees(message.id)
      const before = this.told.get(message.id)
      if (before?.accepting !== message.accepting) {
        if (message.accepting) this.cameBackMs.set(message.id, nowMs)
        this.told.set(message.id, { accepting: message.accepting, atMs: nowMs })
      }
    } else if (message._tag === "PodDescribed") {
      // A first description, and one of other blocks, may begin a new life.
      if (this.blockSizes.get(message.id) !== message.blockSizeTokens) this.doubtMs.set(message.id, nowMs)
      this.blockSizes.set(message.id, message.blockSizeTokens)
    } else if (message._tag === "PodLeft") {
      this.forgottenMs.set(message.id, nowMs)
      this.told.set(message.id, { accepting: false, atMs: nowMs })
    } else if (message._tag === "PodRestarted") {
      this.checkRestart(message.id)
      this.forgottenMs.set(message.id, nowMs)
      this.streaks.delete(message.id)
      this.cameBackMs.set(message.id, nowMs)
    }
  }

  /** Whoever failed a request then may have it again. */
  cameBackSince(id: PodId, sinceMs: number): boolean {
    return (this.cameBackMs.get(id) ?? 0) >= sinceMs
  }

  /** Told before the scheduler hears of it. */
  podFailed({ bounds: { limits: { breaker } }, scheduler: { view } }: WorldGateway, id: string, sure: boolean): void {
    if (!sure || this.time.nowMs < this.breakersFromMs) return
    const streak = this.streaks.get(id as PodId) ?? { failures: 0, openedMs: 0, openUntilMs: 0 }
    this.streaks.set(id as PodId, streak)
    if (++streak.failures !== breaker.failuresInRow) return
    // Of a breaker that is open or half-open already, only the request that tries the pod counts.
    if (view.guard.stateOf(view.table.rowOf(id as PodId)) !== "closed") return
    streak.openedMs = this.time.nowMs
    streak.openUntilMs = this.time.nowMs + 1000 * breaker.openMinS
  }

  /** Failures in a row count by other numbers now; those that are on their way may still meet the old ones. */
  breakersChange(): void {
    for (const streak of this.streaks.values()) streak.failures = 0
    this.breakersFromMs = this.time.nowMs + BACK_WITHIN_MS
  }

  podServed(id: PodId, reservation: number): void {
    this.probes.served(id, reservation)
    // What a request got that was sent before changes nothing about an open breaker.
    const streak = this.streaks.get(id)
    if (streak !== undefined) streak.failures = 0
  }

  /** Called inside the scheduler's pick, so the fleet is as the gateway knew it then. */
  picked(gateway: WorldGateway, { address: { id } }: Decision): void {
    if (gateway.isGone) return
    this.picks++
    const nowMs = this.time.nowMs
    this.checkKnownDead(gateway, id)
    // Messages wait while the scheduler is on its way back.
    if (this.crashes.within("scheduler", BACK_WITHIN_MS)) return
    const told = this.told.get(id)
    if (told === undefined || (!told.accepting && told.atMs < nowMs)) {
      this.violation(`${id} was picked, which was told not to take requests since ${told?.atMs ?? "ever"}`)
    }
    const streak = this.streaks.get(id)
    if (streak !== undefined && streak.failures > 0 && nowMs < streak.openUntilMs && nowMs > streak.openedMs) {
      this.violation(`${id} was picked while its breaker must be open`)
    }
  }

  /** What only its own actor finds out, or those who tell it of the list. */
  private checkKnownDead({ startedMs }: WorldGateway, id: PodId): void {
    const { crashes, fleet, sources: { unlistedSinceMs }, time: { nowMs } } = this
    if (crashes.within(`pod ${id}`, KNOWN_DEAD_AFTER_MS)) return
    const deafSinceMs = Math.max(fleet.podOf(id).deafSinceMs ?? Number.POSITIVE_INFINITY, startedMs)
    if (nowMs - deafSinceMs > KNOWN_DEAD_AFTER_MS) {
      this.violation(`${id} was picked, deaf for ${nowMs - deafSinceMs} ms`)
    }
    const isAway = (actor: string): boolean =>
      crashes.staysDown(actor) || crashes.within(actor, REMOVED_WITHIN_MS + REMOVER_BACK_MS)
    if (isAway("pool") || isAway("discovery")) return
    const unlistedMs = Math.max(unlistedSinceMs.get(id) ?? Number.POSITIVE_INFINITY, startedMs)
    if (nowMs - unlistedMs > REMOVED_WITHIN_MS) this.violation(`${id} was picked, removed ${nowMs - unlistedMs} ms ago`)
  }

  /** The pod's own actor has good news of it. */
  private sees(id: PodId): void {
    const { life } = this.fleet.podOf(id)
    const seen = this.livesSeen.get(id)
    if (seen?.life === life) seen.looks++
    else this.livesSeen.set(id, { life, looks: 1 })
  }

  /** A process that only stood still, or was out of reach, still has its cache. */
  private checkRestart(id: PodId): void {
    const seen = this.livesSeen.get(id)
    if (seen !== undefined && seen.looks > LOOKS_TO_KNOW && seen.life === this.fleet.podOf(id).life) {
      this.violation(`${id} is said to have lost its cache, but its process goes on`)
    }
    this.livesSeen.delete(id)
  }

  exchangePicks(exchange: WorldExchange): void {
    this.picking.set(exchange, this.time.nowMs)
    this.turns.waits(exchange)
  }

  exchangePicked(exchange: WorldExchange, decision: Decision, excluded: ReadonlyArray<string>): void {
    this.checkInTime(exchange)
    const better = this.refusals.betterThan(decision.address.id, exchange, excluded)
    if (better !== undefined) this.violation(better)
    this.picking.delete(exchange)
    this.turns.placed(exchange)
    this.placed.set(exchange, decision)
    const { id } = decision.address
    // What is not sure to be a pod's new life may be one.
    const voidMs = [this.forgottenMs.get(id), this.doubtMs.get(id), this.crashes.lastMs("scheduler")]
    const fault = this.probes.picked(exchange, decision, this.time.nowMs, Math.max(...voidMs.map((ms) => ms ?? 0)))
    if (fault !== undefined) this.violation(fault)
    const { features } = exchange.request
    if (!this.fleet.podOf(decision.address.id).models.includes(features.model)) {
      this.violation(`request ${exchange.request.number} for ${features.model} went to ${decision.address.id}`)
    }
    this.prompts[exchange.request.number % PROMPTS_KEPT] = exchange.request
  }

  /** Nobody goes to a pod after a wait that its client did not want. */
  private checkInTime(exchange: WorldExchange): void {
    const { nowMs } = this.time
    const { firstPickMs = nowMs, request: { features: { wish }, number } } = exchange
    const endsMs = firstPickMs + 1000 * ((wish?.waitMaxS ?? Number.POSITIVE_INFINITY) + WAIT_SLACK_S)
    const hasWaited = nowMs - (this.picking.get(exchange) ?? nowMs) > 1000 * WAIT_SLACK_S
    if (!hasWaited || nowMs <= endsMs || this.crashes.within("scheduler", 2 * BACK_WITHIN_MS)) return
    this.violation(`request ${number} waited for ${nowMs - endsMs} ms longer than its client would`)
  }

  exchangeEnded(exchange: WorldExchange, outcome: string): void {
    const before = this.outcomeOf.get(exchange)
    if (before !== undefined) {
      this.violation(`request ${exchange.request.number} ended twice: ${before}, ${outcome}`)
      return
    }
    this.outcomeOf.set(exchange, outcome)
    if (this.isCalm) this.checkCalm(exchange, outcome)
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1)
    this.settled++
    this.picking.delete(exchange)
    this.placed.delete(exchange)
    this.turns.left(exchange)
  }

  /** Nothing stands in its way but what it asks for itself. */
  private checkCalm(exchange: WorldExchange, outcome: string): void {
    const { request } = exchange
    const { features: { model, streams, wish } } = request
    if (outcome === "finished" || outcome === "pod-said-400") return
    if (wish?.waitMaxS !== undefined && outcome.startsWith("queue_")) return
    // The first byte of a plain answer comes with its last.
    if (!streams && outcome.startsWith("first_byte_timed_out")) return
    if (outcome === "finished-after-retry" && exchange.wasOnlyTooLong) return
    const isServed = this.fleet.pods.some((pod) =>
      pod.models.includes(model) && this.told.get(pod.address.id)?.accepting
    )
    if (outcome === "model_not_found" && !isServed) return
    this.violation(`request ${request.number} for ${model} ended as ${outcome} while all was well`)
  }

  waited(gateway: WorldGateway, priority: number, waitedS: number, outcome: string): void {
    const hasCrashed = this.crashes.within("scheduler", 2 * BACK_WITHIN_MS)
    const slackS = WAIT_SLACK_S + (hasCrashed ? BACK_WITHIN_MS / 1000 : 0)
    const mostS = gateway.bounds.longestWaitS(priority === 5 ? 0.5 : 1) + slackS
    if (waitedS > mostS) this.violation(`a request of band ${priority} waited ${waitedS} s, ${outcome}`)
    if (outcome === "queue-full" && priority >= 0) this.violation(`a request of band ${priority} was shed`)
    // The crash is logged after that.
    if (outcome === "broken" && !hasCrashed && gateway.defects.fired === this.crashesLogged) {
      this.violation("a waiting request broke the scheduler")
    }
  }

  /** All is quiet, before time goes on. */
  look(gateway: WorldGateway | undefined): void {
    if (gateway === undefined || gateway.isGone) return
    if (gateway.hasOpened) this.refusals.note(gateway)
    if (!gateway.isOpen || gateway.lost !== undefined) return
    const { plan, time } = this
    const { ref, room, view } = gateway.scheduler
    const isBack = !this.crashes.within("scheduler", BACK_WITHIN_MS)
    if (!isBack && ref.depth() > 0) return
    if (ref.depth() > 0) return this.violation(`${ref.depth()} messages wait while all is quiet`)
    if (ref.reservedOverflows() > 0) this.violation("the scheduler's reserved room overflowed")
    if (gateway.pool.ref.reservedOverflows() > 0) this.violation("the pool's reserved room overflowed")
    if (gateway.pool.ref.depth() > 64) this.violation(`${gateway.pool.ref.depth()} messages wait for the pool`)
    // Exchanges and scheduler count the same requests, each in its own way.
    let placed = 0
    for (const exchange of this.placed.keys()) if (exchange.decision !== undefined) placed++
    if (view.openRequests !== placed) this.violation(`${view.openRequests} reservations for ${placed} requests at pods`)
    let waiting = 0
    let bytes = 0
    for (const [exchange, sinceMs] of this.picking) {
      if (!exchange.isPicking) continue
      waiting++
      bytes += exchange.request.features.wish?.bytes ?? 0
      const slackMs = isBack ? 0 : BACK_WITHIN_MS
      const longestMs = slackMs + 1000 * (gateway.bounds.longestWaitS(1) + WAIT_SLACK_S)
      if (time.nowMs - sinceMs > longestMs) {
        this.violation(`request ${exchange.request.number} waits for its pick too long`)
      }
    }
    if (room.count !== waiting) this.violation(`${room.count} wait in the room, ${waiting} for a pick`)
    if (room.bytes !== bytes) this.violation(`the room counts ${room.bytes} bytes of ${bytes}`)
    for (const fault of gateway.bounds.look(view.openRequests, waiting, bytes)) this.violation(fault)
    if (gateway.front.rescueBytes > plan.rescueBytesMax) {
      this.violation(`${gateway.front.rescueBytes} bytes for rescues`)
    }
    this.lookAtRows(gateway)
    const waitsInVain = this.refusals.look(gateway)
    if (waitsInVain !== undefined) this.violation(waitsInVain)
    // Where there is no room for all, some are left out.
    if (plan.podsMax >= plan.podCount) {
      const accepts = (id: PodId): boolean => this.told.get(id)?.accepting === true
      for (const fault of this.recovery.look(gateway, time.nowMs, accepts)) this.violation(fault)
    }
    this.turns.look()
  }

  /** Nothing is under way. */
  lookIdle(gateway: WorldGateway): void {
    const { table } = gateway.scheduler.view
    this.look(gateway)
    const { heldBytes, openRequests } = gateway.front
    if (openRequests > 0) this.violation(`the front end has ${openRequests} requests open while idle`)
    if (heldBytes !== 0) this.violation(`the front end holds ${heldBytes} bytes while idle`)
    if (gateway.upstream.open.size > 0) this.violation(`${gateway.upstream.open.size} calls are open while idle`)
    for (let row = 0; row < table.rowCount; row++) {
      const charged = [
        table.prefilling[row],
        table.decoding[row],
        table.prefillAheadS[row],
        table.prefillAheadTokens[row],
        table.prefillingTokens[row],
        table.decodingTokens[row],
        table.decodingSinceS[row],
        table.usedTokens[row]
      ]
      if (charged.some((value) => value !== 0)) {
        this.violation(`row ${row} (${table.addresses[row]?.id}) is charged ${charged.join(" ")} while idle`)
      }
    }
    for (const { address: { id }, calls, alive } of this.fleet.pods) {
      if (alive && calls.size > 0) this.violation(`${id} still has ${calls.size} requests while idle`)
    }
  }

  /** A pod's record was written: it must not claim what the process that it names can't have. */
  recordSaved({ id, lastState, sketch }: PodRecord): void {
    this.recordsSeen++
    const pod = this.fleet.podOf(id as PodId)
    const { blockSizeTokens, blocks, kvCapacityTokens } = sketch
    const capacityBlocks = Math.floor(pod.kvCapacityTokens / pod.blockSizeTokens)
    // Of a pod whose metrics could not be read yet, only what the operator said is known.
    if (kvCapacityTokens === constants.kvCapacityTokens) return
    if (blockSizeTokens !== pod.blockSizeTokens || kvCapacityTokens !== pod.kvCapacityTokens) {
      this.violation(`the record of ${id} has ${kvCapacityTokens} tokens in blocks of ${blockSizeTokens}`)
    }
    const shadow = new ShadowKv(0, new PrefixIndex({ rowsMax: 1, entriesMax: 65_536 }), 65_536)
    const refused = shadow.importBlocks(blocks)
    if (refused !== undefined) this.violation(`the record of ${id} can't be read: ${refused}`)
    if (shadow.cachedBlocks > capacityBlocks) {
      this.violation(`the record of ${id} claims ${shadow.cachedBlocks} blocks, it has ${capacityBlocks}`)
    }
    const life = pod.lives.find(({ processStartS }) => processStartS === lastState.processStartS)
    // Nobody believes a record of a process that is gone, or that never told its start.
    if (life === undefined || life !== pod.life) return
    for (const request of this.prompts) {
      if (request === undefined) continue
      const claimed = shadow.matchBlocks(request.features.chain(blockSizeTokens))
      const held = FaultyPod.blocksHeld(life, request, blockSizeTokens)
      if (claimed > held) {
        this.violation(
          `the record of ${id} claims ${claimed} blocks of request ${request.number}, at most ${held} were there`
        )
      }
    }
  }

  /** The fewest and the most requests that a pod can be charged. */
  private chargesOf(id: PodId | undefined): readonly [least: number, most: number] {
    const forgottenMs = id === undefined ? 0 : this.forgottenMs.get(id) ?? 0
    const doubtMs = Math.max(forgottenMs, id === undefined ? 0 : this.doubtMs.get(id) ?? 0)
    let least = 0
    let most = 0
    for (const [{ decision, pickedMs }, { address }] of this.placed) {
      if (decision === undefined || address.id !== id) continue
      if (pickedMs >= forgottenMs) most++
      if (pickedMs > doubtMs) least++
    }
    return [least, most]
  }

  private lookAtRows(gateway: WorldGateway): void {
    const { table } = gateway.scheduler.view
    let live = 0
    let charged = 0
    const { room } = gateway.scheduler
    const inLine = room.count - room.podlessCount
    for (let row = 0; row < table.rowCount; row++) {
      if (table.live[row] === 0) continue
      live++
      const open = (table.prefilling[row] ?? 0) + (table.decoding[row] ?? 0)
      charged += open
      const id = table.addresses[row]?.id
      // All that wait could go there, and nothing is there to wait for.
      if (this.turns.isOn && open === 0 && inLine > 0 && table.strained[row] === 0) {
        this.violation(`${id} idles while ${inLine} requests wait`)
      }
      const [least, most] = this.chargesOf(id)
      if (open < least || open > most) {
        this.violation(`${id} is charged ${open} requests, ${least} to ${most} are there`)
      }
    }
    if (live > this.plan.podsMax) this.violation(`${live} pods are in a table for ${this.plan.podsMax}`)
    if (charged > gateway.scheduler.view.openRequests) this.violation(`${charged} requests are charged to rows`)
  }
}
