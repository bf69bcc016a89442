import { emptyChain } from "./BlockChain.ts"
import { Candidates, type Outlook } from "./Candidates.ts"
import { Charges } from "./Charges.ts"
import { ownPrefillS, predictTtftS } from "./cost.ts"
import type { EngineConstants } from "./EngineConstants.ts"
import { explainPick } from "./explainPick.ts"
import type { PickExplanation } from "./Explanation.ts"
import { ForeignLoad } from "./ForeignLoad.ts"
import type { LoraActivity } from "./LoraActivity.ts"
import { OutputLengths } from "./OutputLengths.ts"
import type { EndedRequest, Placement, Refusal } from "./Placement.ts"
import type { PodAddress, PodId } from "./Pod.ts"
import { PodTable } from "./PodTable.ts"
import { type GuardOptions, PodGuard } from "./PodGuard.ts"
import { PodSketches, type SavedSketch } from "./prefix/PodSketches.ts"
import type { PickContext, Policy } from "./Policy.ts"
import { PrefixHits } from "./prefix/PrefixHits.ts"
import { PrefixIndex } from "./prefix/PrefixIndex.ts"
import type { RequestFeatures } from "./RequestFeatures.ts"
import { ReuseAges } from "./prefix/ReuseAges.ts"
import { FleetRoom, fleetRoomDefaults, type FleetRoomOptions, type WaitFor } from "./waiting/FleetRoom.ts"

/** What may change while the scheduler works. */
export interface SchedulerSettings {
  readonly openRequestsMax: number
  readonly modelsMax: number
  /** Distinct KV blocks remembered over all pods. */
  readonly prefixEntriesMax: number
  /** Expected output before a model has answered once. */
  readonly initialOutputTokens: number
  /** When the fleet has no room for a request. Default: `fleetRoomDefaults`. */
  readonly room?: FleetRoomOptions | undefined
  /** Breakers and slow start. Undefined: every accepting pod is a candidate, as in a simulation without faults. */
  readonly guard?: GuardOptions | undefined
}

export interface SchedulerOptions extends SchedulerSettings {
  readonly policy: Policy
  readonly podsMax: number
  readonly random: () => number
}

/** A sample of an hour's prompts at most, and what was seen half an hour ago says little. */
const reuseDefaults = { samplesMax: 65_536, halfLifeS: 600 }

/** Weight of a KV shortage in the predicted TTFT (κ, DESIGN 5). */
const KV_SHORTAGE_WEIGHT = 0.25

/**
 * The scheduler without its actor: the fleet, the reservations and the prefix sketches, advanced by facts.
 * Synchronous and clock-free, so that the gateway, an Envoy picker and a simulator can all drive it. One file, since
 * each fact and each decision must leave table, charges, sketches and breakers in step.
 */
export class Scheduler {
  readonly table: PodTable
  readonly index: PrefixIndex
  readonly outputLengths: OutputLengths
  readonly guard: PodGuard
  /** Grows whenever a pod may have begun to take requests that it did not take before. */
  arrivals = 0
  private readonly reuse = new ReuseAges(reuseDefaults)
  private readonly fleetRoom: FleetRoom
  private readonly charges: Charges
  private readonly pods: Candidates
  private readonly sketches: PodSketches
  private readonly foreign: ForeignLoad
  private readonly hits: PrefixHits
  private readonly context: PickContext
  private policy: Policy

  constructor(options: SchedulerOptions) {
    this.policy = options.policy
    this.table = new PodTable(options.podsMax)
    this.guard = new PodGuard(this.table, options.guard)
    this.index = new PrefixIndex({ rowsMax: options.podsMax, entriesMax: options.prefixEntriesMax })
    this.outputLengths = new OutputLengths(options.modelsMax, options.initialOutputTokens)
    this.sketches = new PodSketches(this.table, this.index)
    this.charges = new Charges(this.table, this.sketches.shadows, options.openRequestsMax)
    this.fleetRoom = new FleetRoom(options.room ?? fleetRoomDefaults, this.sketches.shadows, this.reuse)
    this.pods = new Candidates(this.table, this.guard, options.modelsMax)
    this.foreign = new ForeignLoad(this.table, options.podsMax)
    this.hits = new PrefixHits(this.table, this.index)
    this.context = {
      table: this.table,
      request: nothing,
      candidates: new Uint32Array(options.podsMax),
      candidateCount: 0,
      hitTokens: new Float64Array(options.podsMax),
      outputTokens: 0,
      nowS: 0,
      flushTokens: (row) => this.fleetRoom.flushTokens(this.context, row),
      random: options.random
    }
  }

  get openRequests(): number {
    return this.charges.open
  }

  /** Type of the policy that places requests now. */
  get policyType(): string {
    return this.policy.type
  }

  /** The next pick is this policy's. It must be built for as many rows as the table has. */
  replacePolicy(policy: Policy): void {
    this.policy = policy
  }

  /** From now on; open requests, sketches and breakers stay as they are, beyond smaller bounds too. */
  replaceSettings(settings: SchedulerSettings): void {
    this.charges.resize(settings.openRequestsMax)
    this.pods.models.resize(settings.modelsMax)
    this.outputLengths.replaceOptions(settings.modelsMax, settings.initialOutputTokens)
    this.index.resize(settings.prefixEntriesMax)
    this.fleetRoom.options = settings.room ?? fleetRoomDefaults
    this.guard.replaceOptions(settings.guard)
  }

  /** How fast a pod is believed to be from now on; the capacity it has described stays until it describes another. */
  recalibrate(id: PodId, constants: EngineConstants): void {
    const row = this.table.rowOf(id)
    if (row < 0) return
    const kvCapacityTokens = this.table.kvCapacityTokens[row] ?? 0
    this.table.setConstants(row, constants)
    if (this.sketches.isDescribed(row)) this.table.kvCapacityTokens[row] = kvCapacityTokens
  }

  /** A pod joins, not accepting yet. False: the table is full. Joining again changes nothing but what is said of it. */
  join(address: PodAddress, constants: EngineConstants): boolean {
    const known = this.table.rowOf(address.id)
    if (known >= 0) {
      this.table.addresses[known] = address
      return true
    }
    const row = this.table.add(address)
    if (row < 0) return false
    this.table.setConstants(row, constants)
    this.newLife(row)
    return true
  }

  /** What the pod is: `contextTokensMax` for a request. A changed block size or a first description empties its sketch. */
  describe(
    id: PodId,
    blockSizeTokens: number,
    kvCapacityTokens: number,
    models: ReadonlyArray<string>,
    contextTokensMax?: number
  ): void {
    const row = this.table.rowOf(id)
    if (row < 0) return
    if (this.sketches.describe(row, blockSizeTokens, kvCapacityTokens)) this.newLife(row)
    this.pods.describe(row, models, true, contextTokensMax)
    this.arrivals++
  }

  observe(
    id: PodId,
    accepting: boolean,
    running: number,
    waiting: number,
    kvUsage: number,
    nowS: number,
    lora?: LoraActivity,
    strained?: boolean
  ): void {
    const row = this.table.rowOf(id)
    if (row < 0) return
    const { table } = this
    if ((table.accepting[row] === 1) !== accepting) {
      this.guard.turned(row, accepting, nowS)
      if (accepting) this.arrivals++
    }
    table.accepting[row] = accepting ? 1 : 0
    table.strained[row] = strained === true ? 1 : 0
    table.observedRunning[row] = running
    table.observedWaiting[row] = waiting
    table.observedKvUsage[row] = kvUsage
    table.observedAtS[row] = nowS
    table.lora[row] = lora
    this.foreign.observe(row, running, waiting)
  }

  /** The pod's process started anew: its cache is empty and nothing of ours runs there. */
  restarted(id: PodId): void {
    const row = this.table.rowOf(id)
    if (row < 0) return
    this.sketches.clear(row)
    this.newLife(row)
    this.guard.restarted(row)
    this.arrivals++
  }

  leave(id: PodId): void {
    const row = this.table.rowOf(id)
    if (row < 0) return
    this.sketches.remove(row)
    this.pods.clear(row)
    this.guard.clear(row)
    this.newLife(row)
    this.table.remove(row)
  }

  /**
   * Picks a pod and reserves its load there in one go, so that the next pick already sees it. "busy": no pod has what
   * the request waits for. `queueMaxS`: the most prefill ahead of it on its pod, where that is less than the fleet's.
   */
  pick(request: RequestFeatures, excluded: ReadonlyArray<string>, nowS: number): Placement | Refusal
  pick(
    request: RequestFeatures,
    excluded: ReadonlyArray<string>,
    nowS: number,
    waitFor: WaitFor | undefined,
    queueMaxS?: number
  ): Placement | Refusal | "busy"
  pick(
    request: RequestFeatures,
    excluded: ReadonlyArray<string>,
    nowS: number,
    waitFor: WaitFor = "never",
    queueMaxS?: number
  ): Placement | Refusal | "busy" {
    const refusal = this.prepare(request, excluded, nowS, true)
    if (refusal !== undefined) return refusal
    const { context } = this
    if (!this.fleetRoom.narrow(context, waitFor, queueMaxS)) return "busy"
    const row = this.policy.pick(context)
    if (row < 0) return "filtered"
    if (
      waitFor !== "never" && waitFor !== "turn" && this.policy.isRevocable === true &&
      this.fleetRoom.flushes(context, row)
    ) return "busy"
    const address = this.table.addresses[row]
    if (address === undefined) throw new Error(`policy ${this.policy.type} picked row ${row}, which is no pod`)
    const predictedTtftS = predictTtftS(context, row, KV_SHORTAGE_WEIGHT)
    const reservation = this.charges.charge(context, row, predictedTtftS)
    if (reservation < 0) return "too-many-open"
    try {
      return this.placed(row, reservation, address, predictedTtftS)
    } catch (cause) {
      // Nobody hears of it, so nobody would give it back.
      this.end(reservation, {}, nowS)
      throw cause
    }
  }

  /** False: all pods that take requests have longer queues than anybody may wait behind, so no pick will find room. */
  mayHaveRoom(nowS: number, queueMaxS: ReadonlyMap<number, number> | undefined): boolean {
    return this.fleetRoom.mayHaveTurn(this.table, nowS, queueMaxS)
  }

  /** Whether no pod that could take the request has room for it now. Reserves nothing. */
  isBusyFor(request: RequestFeatures, nowS: number, waitFor: WaitFor, queueMaxS: number | undefined): boolean {
    if (this.prepare(request, [], nowS, false) !== undefined) return false
    return !this.fleetRoom.narrow(this.context, waitFor, queueMaxS)
  }

  /**
   * Prefill seconds of the request on the pod where it would need least. Reserves nothing. `wasBusy`: of the request
   * for which `pick` has just returned that, so that the hits measured for it need no second look.
   */
  leastPrefillS(
    request: RequestFeatures,
    excluded: ReadonlyArray<string>,
    nowS: number,
    wasBusy = false
  ): number | Refusal {
    const refusal = wasBusy
      ? this.pods.collect(this.context, request, excluded, false)
      : this.prepare(request, excluded, nowS, false)
    if (refusal !== undefined) return refusal
    if (wasBusy) this.hits.measure(this.context)
    return this.leastOwnPrefillS(request.promptTokens, this.context.hitTokens)
  }

  /** The same with no hits, which are not looked up; 0 where no pod would take it. */
  leastColdPrefillS(request: RequestFeatures, excluded: ReadonlyArray<string>, nowS: number): number {
    this.context.nowS = nowS
    if (this.pods.collect(this.context, request, excluded, false) !== undefined) return 0
    return this.leastOwnPrefillS(request.promptTokens, undefined)
  }

  /** What may become of the request, whatever the load. Reserves nothing. */
  outlook(request: RequestFeatures, excluded: ReadonlyArray<string>, nowS: number): Outlook {
    return this.pods.outlook(request, excluded, nowS)
  }

  /** What `pick` would do now and why. Reserves nothing. */
  explain(request: RequestFeatures, nowS: number): PickExplanation {
    const { context } = this
    const hitTokens = this.hitsEverywhere(request)
    const refusal = this.prepare(request, [], nowS, false) ?? (this.charges.isFull ? "too-many-open" : undefined)
    return explainPick({
      policy: this.policy,
      context,
      hitTokens,
      refused: refusal,
      guard: this.guard,
      exclusionOf: (row) => this.pods.exclusionOf(row, request.model, nowS),
      kvShortageWeight: KV_SHORTAGE_WEIGHT
    })
  }

  /** The prefill part of the charge is released. Unknown and repeated numbers are ignored. */
  firstToken(reservation: number, nowS: number): void {
    const row = this.charges.rowOf(reservation)
    this.charges.firstToken(reservation, nowS)
    const { notClosed } = this.guard
    this.guard.served(row, reservation, nowS)
    if (this.guard.notClosed < notClosed) this.arrivals++
  }

  /** The whole charge is released. Unknown and repeated numbers are ignored. */
  end(reservation: number, { outputTokens = 0 }: EndedRequest, nowS: number): void {
    const row = this.charges.rowOf(reservation)
    const model = this.charges.end(reservation, outputTokens, nowS)
    this.guard.ended(row, reservation)
    if (model !== undefined && outputTokens > 0) this.outputLengths.learn(model, outputTokens)
  }

  /** A request there failed; its reservation may have ended. Not `sure`: it may be the request's own fault. */
  podFailed(id: PodId, reservation: number, sure: boolean, why: string, nowS: number): void {
    const row = this.table.rowOf(id)
    if (row >= 0) this.guard.failed(row, reservation, sure, why, nowS)
  }

  /** The sketch of a pod for a snapshot; undefined when there is none. */
  exportSketch(id: PodId): SavedSketch | undefined {
    const row = this.table.rowOf(id)
    return row < 0 ? undefined : this.sketches.save(row)
  }

  /** Gives a pod that just joined the sketch it had. Returns why it was refused, if it was. */
  restoreSketch(id: PodId, sketch: SavedSketch): string | undefined {
    const row = this.table.rowOf(id)
    if (row < 0) return "the pod has not joined"
    if (!(sketch.blockSizeTokens > 0) || !(sketch.kvCapacityTokens > 0)) return "block size or capacity is not positive"
    this.describe(id, sketch.blockSizeTokens, sketch.kvCapacityTokens, [])
    this.pods.describe(row, [], false)
    return this.sketches.restore(row, sketch)
  }

  /** Cached blocks over all pods, as their sketches believe. */
  get sketchBlocks(): number {
    return this.sketches.blocks
  }

  /** Memory of all sketches and the index over them. */
  get sketchBytes(): number {
    return this.sketches.byteLength + this.index.byteLength
  }

  private placed(row: number, reservation: number, address: PodAddress, predictedTtftS: number): Placement {
    const { context } = this
    const { nowS, request } = context
    this.reuse.asked(request.chain(this.table.blockSizeTokens[row] ?? 0), nowS)
    return {
      probes: this.guard.picked(row, reservation, nowS),
      reservation,
      address,
      promptTokens: request.promptTokens,
      hitTokens: context.hitTokens[row] ?? 0,
      predictedTtftS,
      fallbacks: request.fallbacksMax === undefined ? noPods : this.fallbacks(row, request.fallbacksMax)
    }
  }

  /** The candidates with the lowest predicted TTFT after `row`; asking the policy again could move its own state. */
  private fallbacks(row: number, countMax: number): ReadonlyArray<PodAddress> {
    const { context, table } = this
    const rows = context.candidates.slice(0, context.candidateCount).filter((candidate) => candidate !== row)
    const ttftS = new Map(Array.from(rows, (row) => [row, predictTtftS(context, row, KV_SHORTAGE_WEIGHT)]))
    rows.sort((a, b) => (ttftS.get(a) ?? 0) - (ttftS.get(b) ?? 0))
    return Array.from(rows.subarray(0, countMax)).flatMap((row) => table.addresses[row] ?? [])
  }

  /** Fills the context for a decision over the pods that may take the request. */
  private prepare(
    request: RequestFeatures,
    excluded: ReadonlyArray<string>,
    nowS: number,
    ramps: boolean
  ): Refusal | undefined {
    this.charges.passUnseenFirstTokens(nowS)
    const { context } = this
    context.request = request
    context.nowS = nowS
    context.outputTokens = request.generates ? this.outputLengths.expected(request.model, request.outputTokensMax) : 0
    const refusal = this.pods.collect(context, request, excluded, ramps)
    this.hits.startDecision()
    if (refusal === undefined) this.hits.measure(context)
    return refusal
  }

  /** Over the candidates. Without `hitTokens` none is counted on. */
  private leastOwnPrefillS(promptTokens: number, hitTokens: Float64Array | undefined): number {
    const { candidateCount, candidates } = this.context
    let leastS = Number.POSITIVE_INFINITY
    for (let i = 0; i < candidateCount; i++) {
      const row = candidates[i] ?? 0
      leastS = Math.min(leastS, ownPrefillS(this.table, row, promptTokens, hitTokens?.[row] ?? 0))
    }
    return leastS
  }

  /** Hit tokens by row, of pods that can't take the request too. */
  private hitsEverywhere(request: RequestFeatures): Float64Array {
    const { context, table } = this
    context.candidateCount = 0
    for (let row = 0; row < table.rowCount; row++) {
      if (table.live[row] === 1) context.candidates[context.candidateCount++] = row
    }
    this.hits.startDecision()
    context.request = request
    this.hits.measure(context)
    return context.hitTokens.slice(0, table.rowCount)
  }

  /** The pod restarted, left, or changed its geometry: nothing that was known of its load counts. */
  private newLife(row: number): void {
    this.foreign.newLife(row)
    this.charges.newLife(row)
    // Its breaker would else wait for the end of a try that counts for nobody any more. What failed there still counts:
    // a pod that is described at last is the one that failed.
    this.guard.tryIsVoid(row)
  }
}

const noPods: ReadonlyArray<PodAddress> = []

const nothing: RequestFeatures = {
  model: "",
  promptTokens: 0,
  outputTokensMax: undefined,
  generates: false,
  streams: false,
  chain: () => emptyChain,
  tokensPerBlock: () => 1,
  sessionHash: 0
}
