import { podAddress } from "../../src/core/Pod.ts"
import { SeededRandom } from "../../src/simulator/SeededRandom.ts"
import { otherLimits } from "./Bounds.ts"
import { defectPlaces } from "./Defects.ts"
import { FaultyFleet } from "./FaultyFleet.ts"
import { FaultyPod } from "./FaultyPod.ts"
import { History } from "./History.ts"
import { PodTroubles } from "./PodTroubles.ts"
import { damages, noDiskFault, SnapshotDisk } from "./SnapshotDisk.ts"
import { VirtualTime } from "./VirtualTime.ts"
import { Watch } from "./Watch.ts"
import { type ExchangeDeps, WorldExchange } from "./WorldExchange.ts"
import { SLOW_START_S, WorldGateway } from "./WorldGateway.ts"
import { constants, planOf, policies, type WorldPlan } from "./WorldPlan.ts"
import { Clients, models, type WorldRequest } from "./WorldRequest.ts"
import { WorldSources } from "./WorldSources.ts"

export interface WorldReport {
  readonly hash: string
  readonly events: number
  readonly requests: number
  readonly outcomes: Readonly<Record<string, number>>
  /** By kind: troubles of pods, and what happened to the gateway. */
  readonly happenings: Readonly<Record<string, number>>
  readonly picks: number
  readonly placedInTurn: number
  readonly recordsSaved: number
  readonly virtualS: number
  readonly violations: ReadonlyArray<string>
  readonly lastLines: ReadonlyArray<string>
}

/** A Sunday in 2026; any moment will do. */
const START_MS = 1_792_300_000_000
/** Everything is over in a world within this, once its pods are well. */
const SETTLE_MS = 240_000
/** What a restarted fleet needs to be healthy and past its slow start. */
const RECOVER_MS = 1000 * (SLOW_START_S + 25)
const CALM_REQUESTS = 30
const CALM_EVERY_S = 1.2
const CLOSED_WITHIN_S = 100
const OVERLOAD_REQUESTS = 120

/**
 * One seeded run: live actors over a faulty fleet in virtual time. First everything goes wrong that can; then all is
 * healed and must come to rest; then equal requests of several bands and flows come faster than they can be served and
 * must take turns; at last the gateway stops in order. Long because every kind of fault is a few lines of it.
 */
export class World {
  private readonly plan: WorldPlan
  private readonly time: VirtualTime
  private readonly fleet: FaultyFleet
  private readonly disk: SnapshotDisk
  private readonly exchanges = new Map<number, WorldExchange>()
  private readonly watch: Watch
  private readonly clients: Clients
  private readonly history = new History()
  private readonly random: SeededRandom
  private readonly chance: {
    readonly arrivals: SeededRandom
    readonly gateway: SeededRandom
  }
  private readonly happenings = new Map<string, number>()
  private readonly open = new Set<WorldExchange>()
  private readonly sources: WorldSources
  private readonly podTroubles: PodTroubles
  private gateway: WorldGateway | undefined
  private lives = 0
  private arrived = 0
  private isDisturbed = true
  /** A restart is under way. */
  private isDown = false
  private policy: string

  constructor(seed: number, requests: number) {
    this.random = new SeededRandom(seed)
    this.plan = planOf(this.random.fork(1), requests)
    this.chance = { arrivals: this.random.fork(2), gateway: this.random.fork(4) }
    this.time = new VirtualTime(START_MS, seed)
    const { plan, time } = this
    const pods = plan.kvCapacityTokens.map((kvCapacityTokens, index) =>
      new FaultyPod(
        podAddress(`pod-${index}`, 8000, false),
        plan.servesRare[index] === true ? [models.common, models.rare] : [models.common],
        { ...constants, kvCapacityTokens },
        plan.blockSizeTokens[index] ?? 16,
        plan.maxNumSeqs,
        time
      )
    )
    this.fleet = new FaultyFleet(pods, time, this.random.fork(5))
    this.podTroubles = new PodTroubles({
      fleet: this.fleet,
      time,
      everyS: plan.podFaultEveryS,
      random: this.random.fork(3),
      isOn: () => this.isDisturbed,
      onHappened: (what, whom) => this.happened(what, whom),
      onRestart: (whom) => this.note(`restart ${whom}`)
    })
    this.sources = new WorldSources(pods, time)
    this.watch = new Watch(plan, time, this.fleet, this.sources)
    this.disk = new SnapshotDisk(time, plan.snapshotBytesMax, {
      onSave: (record) => this.watch.recordSaved(record),
      onViolation: (what) => this.watch.violation(what)
    })
    this.clients = new Clients(this.random.fork(6))
    this.policy = plan.policy
  }

  async run(): Promise<WorldReport> {
    const phases = [this.disturb, this.settle, this.calm, this.overload, this.stopInOrder]
    const giveBack = this.time.takeOver()
    try {
      await this.startGateway()
      for (const phase of phases) if (this.watch.violations.length === 0) await phase.call(this)
    } finally {
      giveBack()
      this.disk.dispose()
    }
    return this.report()
  }

  private disturb(): Promise<void> {
    this.arriveNext()
    this.podTroubles.start()
    this.troubleGateway()
    return this.passWhile(() => this.arrived < this.plan.requests, 3_600_000)
  }

  private async settle(): Promise<void> {
    this.heal()
    await this.passWhile(() => this.isDown || this.open.size > 0, SETTLE_MS)
    // A pod that was still to be killed or listed is well now too.
    this.heal()
    await this.pass(RECOVER_MS)
    this.lookIdle()
  }

  private async startGateway(): Promise<void> {
    const { disk, fleet, plan, sources, time, watch } = this
    watch.gatewayStarts()
    const gateway = new WorldGateway({
      plan,
      time,
      fleet,
      disk,
      upstream: {
        fleet,
        time,
        plan,
        random: this.random.fork(1000 + this.lives),
        requestOf: (number) => this.exchangeOf(number).request,
        onGaveUp: (number) => {
          this.exchangeOf(number).podGaveUp = true
        },
        onViolation: (what) => watch.violation(what)
      },
      sources: sources.sources,
      policy: this.policy,
      random: this.random.fork(100 + this.lives++),
      hooks: {
        onPick: (from, decision) => {
          this.note(`pick ${decision.address.id} ${decision.hitTokens} of ${decision.promptTokens}`)
          watch.picked(from, decision)
        },
        onTold: (from, message) => {
          if (from === this.gateway) watch.overheard(message)
        },
        onLog: (from, { level, text }) => {
          if (from.isGone) return
          this.note(`log ${level} ${disk.nameless(text)}`)
          if (level === "ERROR" || level === "FATAL") watch.logged(from, text)
        },
        onLost: (from) => {
          if (from !== this.gateway || this.isDown) return
          this.happened(`lost-${from.lost}`, "")
          void this.restart("lost", this.chance.gateway.between(100, 3000))
        },
        onWaited: (from, priority, waitedS, outcome) => watch.waited(from, priority, waitedS, outcome)
      }
    })
    this.gateway = gateway
    let isStarted = false
    const starting = gateway.start().then(() => {
      isStarted = true
    })
    if (this.isDown) return starting
    await this.passWhile(() => !isStarted, 60_000)
    await starting
  }

  private arriveNext(): void {
    const { arrivals } = this.chance
    this.time.after(1000 * arrivals.exponential(1 / this.plan.requestsPerS), () => {
      if (!this.isDisturbed) return
      const burst = arrivals.uniform() < 0.02 ? 10 : 1
      for (let count = 0; count < burst; count++) this.arrive(this.clients.next(), arrivals)
      this.arriveNext()
    })
  }

  private arrive(request: WorldRequest, random?: SeededRandom): void {
    this.arrived++
    const { gateway } = this
    this.note(`arrival ${request.number} ${request.features.model} ${request.promptTokens}`)
    if (gateway === undefined || !gateway.isOpen) {
      this.watch.settled++
      return this.note(`outcome ${request.number} gateway-down`)
    }
    const exchange = new WorldExchange(request, this.exchangeDeps(gateway))
    this.open.add(exchange)
    this.exchanges.set(request.number, exchange)
    this.watch.exchangeBegins()
    exchange.begin()
    if (random !== undefined && random.uniform() < 0.12) {
      this.time.after(1000 * random.exponential(1.5), () => exchange.leave())
    }
  }

  private exchangeDeps(gateway: WorldGateway): ExchangeDeps {
    const { plan, time, watch } = this
    return {
      plan,
      time,
      gateway,
      onPicking: (exchange) => watch.exchangePicks(exchange),
      onPicked: (exchange, decision, excluded) => watch.exchangePicked(exchange, decision, excluded),
      onOutcome: (exchange, outcome) => {
        this.open.delete(exchange)
        this.exchanges.delete(exchange.request.number)
        this.note(`outcome ${exchange.request.number} ${outcome}`)
        watch.exchangeEnded(exchange, outcome)
      },
      cameBackSince: (id, sinceMs) => watch.cameBackSince(id, sinceMs),
      onRefused: (from, error, excluded) => {
        const fault = watch.refusals.faultOf(from, error, excluded)
        if (fault !== undefined) watch.violation(`request ${from.request.number} ${fault}`)
      },
      onRetryDenied: (why) => watch.retryDenied(why),
      onRetry: () => watch.retried(),
      onViolation: (what) => watch.violation(what),
      onPodFailed: (from, id, sure) => watch.podFailed(from, id, sure),
      onPodServed: (id, reservation) => watch.podServed(id, reservation)
    }
  }

  /** Something befalls the gateway, or its operator does something. */
  private troubleGateway(): void {
    const { gateway: random } = this.chance
    this.time.after(1000 * random.exponential(this.plan.gatewayFaultEveryS), () => {
      if (!this.isDisturbed) return
      if (!this.isDown) this.befall(random)
      this.troubleGateway()
    })
  }

  private befall(random: SeededRandom): void {
    const { gateway } = this
    if (gateway === undefined || !gateway.isOpen) return
    const chance = random.uniform()
    if (chance < 0.1) void this.restart("kill -9", random.between(100, 5000))
    else if (chance < 0.2) void this.restart("stop", random.between(100, 5000))
    else if (chance < 0.4) {
      this.policy = policies[random.below(policies.length)]!
      this.happened("policy", this.policy)
      gateway.replacePolicy(this.policy)
    } else if (chance < 0.45) {
      this.happened("limits", "")
      gateway.replaceLimits(otherLimits(random, this.plan))
      this.watch.breakersChange()
    } else if (chance < 0.5) {
      this.happened("settings", "")
      gateway.replacePoolSettings(random.between(500, 20_000), random.between(200, 1000))
    } else if (chance < 0.6) {
      this.happened("sources", "")
      this.sources.replaceOne(random)
      gateway.replaceSources(this.sources.sources)
    } else if (chance < 0.8) this.happened("list", this.sources.changeList(random))
    else if (chance < 0.9) this.happened("source-fault", this.sources.break(random))
    else if (chance < 0.94) {
      this.happened("snapshot-fault", "")
      const why = random.uniform() < 0.5 ? "the disk is full" : undefined
      this.disk.fault = { why, slownessMs: random.between(0, 2000) }
      this.time.after(random.between(500, 8000), () => {
        this.disk.fault = noDiskFault
      })
    } else if (chance < 0.965) this.happened(`spent-${gateway.defects.spend(gateway, random)}`, "")
    else {
      const place = defectPlaces[random.below(defectPlaces.length)]!
      this.happened(`defect-${place}`, "")
      gateway.defects.strike(place, gateway, random)
    }
  }

  private async restart(how: "kill -9" | "stop" | "lost", downMs: number): Promise<void> {
    const { gateway } = this
    if (gateway === undefined) return
    this.isDown = true
    if (how !== "lost") this.happened(how, "")
    if (how === "kill -9") this.loseGateway(gateway)
    else await this.close(gateway)
    const { gateway: random } = this.chance
    const damage = damages[random.below(3 * damages.length)]
    if (damage !== undefined && this.disk.spoil(damage, random)) this.happened(`snapshot-${damage}`, "")
    await this.time.sleep(downMs)
    // The next one may have to begin with a pod of which it can't tell what it is.
    if (random.uniform() < 0.5) this.podTroubles.makeUnreadable(random)
    await this.startGateway()
    this.note("gateway started")
    this.isDown = false
  }

  private loseGateway(gateway: WorldGateway): void {
    gateway.kill()
    for (const exchange of this.open) exchange.gatewayLost()
    this.watch.gatewayLost()
    this.gateway = undefined
  }

  /** As on SIGTERM: nobody new, those inside have a grace, then the rest is cut off, and the last snapshot comes. */
  private async close(gateway: WorldGateway): Promise<void> {
    gateway.isOpen = false
    if (gateway.lost === "scheduler") {
      await this.time.sleep(100)
      const picking = [...this.open].filter(({ isPicking }) => isPicking).length
      if (picking > 0) this.watch.violation(`${picking} requests wait for a scheduler that is no more`)
    }
    for (let waitedMs = 0; waitedMs < 10_000 && gateway.front.openRequests > 0; waitedMs += 100) {
      await this.time.sleep(100)
    }
    for (const exchange of this.open) exchange.leave()
    await this.time.sleep(100)
    const { heldBytes, openRequests } = gateway.front
    if (openRequests !== 0 || heldBytes !== 0) this.watch.violation(`a stop left ${openRequests} requests open`)
    // One that is no more hears of no end, even where another actor was lost before it.
    if (gateway.lost !== "scheduler" && !this.watch.crashes.staysDown("scheduler")) {
      if (gateway.scheduler.view.openRequests !== 0) this.watch.violation("a stop left reservations behind")
      if (gateway.scheduler.room.count !== 0) this.watch.violation("a stop left requests in the waiting room")
    }
    await gateway.close()
    this.watch.gatewayLost()
    this.gateway = undefined
  }

  private heal(): void {
    this.isDisturbed = false
    this.disk.fault = noDiskFault
    this.gateway?.defects.disarm()
    for (const pod of this.fleet.pods) {
      pod.restart()
      pod.setTrouble("none")
    }
    this.sources.heal()
  }

  private lookIdle(): void {
    const { gateway, plan, watch } = this
    if (watch.violations.length > 0) return
    if (this.open.size > 0) watch.violation(`${this.open.size} requests have no outcome`)
    if (gateway === undefined || !gateway.isOpen) return watch.violation("there is no gateway in the end")
    watch.lookIdle(gateway)
    const healthy = gateway.pool.view.pods().filter(({ health }) => health === "healthy").length
    const expected = Math.min(plan.podsMax, plan.podCount)
    if (healthy !== expected) watch.violation(`${healthy} of ${expected} pods are healthy after all is well again`)
  }

  /** Nothing is wrong and little to do, so breakers close and every request is served. */
  private async calm(): Promise<void> {
    const { gateway, plan, random, watch } = this
    if (gateway === undefined) return
    gateway.replaceLimits(plan)
    watch.breakersChange()
    this.note("calm")
    // A breaker closes with a request that goes well, which others may like better pods for; then its pod starts slowly.
    gateway.replacePolicy("random")
    const { guard, table } = gateway.scheduler.view
    const isClosed = (_: unknown, row: number): boolean => guard.stateOf(row) === "closed"
    for (let count = 0; !table.addresses.every(isClosed); count++) {
      if (count === CLOSED_WITHIN_S) return watch.violation("a breaker does not close though its pod is well")
      this.arrive(this.clients.alike(0, "a"))
      await this.pass(1000)
    }
    await this.passWhile(() => this.open.size > 0, SETTLE_MS)
    const pace = random.fork(8)
    watch.isCalm = true
    for (let count = 0; count < CALM_REQUESTS && watch.violations.length === 0; count++) {
      this.arrive(this.clients.next())
      await this.pass(1000 * pace.exponential(CALM_EVERY_S))
    }
    await this.passWhile(() => this.open.size > 0, SETTLE_MS)
    watch.isCalm = false
    this.lookIdle()
  }

  /** Equal requests faster than the fleet can serve them, one flow with ten times those of others. */
  private async overload(): Promise<void> {
    const { gateway, random, watch } = this
    if (gateway === undefined || !this.plan.waits) return
    this.note("overload")
    gateway.replacePolicy("random")
    const calm = random.fork(7)
    await this.passWhile(() => this.open.size > 0, SETTLE_MS)
    await this.pass(1000 * (SLOW_START_S + 1))
    watch.turns.isOn = true
    const flows = ["a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "b", "c"]
    const everyMs = 1000 * prefillS / this.plan.podCount / 2.5
    for (let count = 0; count < OVERLOAD_REQUESTS && watch.violations.length === 0; count++) {
      this.arrive(this.clients.alike([0, 0, 5, -1][calm.below(4)]!, flows[calm.below(flows.length)]!))
      await this.pass(calm.exponential(everyMs))
    }
    await this.passWhile(() => this.open.size > 0, SETTLE_MS)
    watch.turns.isOn = false
    this.lookIdle()
  }

  private async stopInOrder(): Promise<void> {
    const { gateway } = this
    if (gateway === undefined) return
    this.disk.savedLately.clear()
    const wanted = gateway.pool.podsSeen().map(({ id }) => id)
    let isClosed = false
    void this.close(gateway).then(() => {
      isClosed = true
    })
    await this.passWhile(() => !isClosed, 60_000)
    // One that is full, or was replaced by somebody else's.
    if (/disk is full|another program|newer warmroute/.test(this.disk.refusal ?? "")) return
    for (const id of wanted) if (!this.disk.savedLately.has(id)) this.watch.violation(`the last snapshot lacks ${id}`)
  }

  private async pass(forMs: number): Promise<void> {
    const untilMs = this.time.nowMs + forMs
    await this.time.quiet()
    while (this.watch.violations.length === 0 && await this.time.step(untilMs)) this.watch.look(this.gateway)
  }

  private async passWhile(isOn: () => boolean, atMostMs: number): Promise<void> {
    const untilMs = this.time.nowMs + atMostMs
    await this.time.quiet()
    while (this.watch.violations.length === 0 && isOn()) {
      if (!await this.time.step(untilMs)) {
        const states = [...this.open].slice(0, 3).map(({ state }) => state)
        return this.watch.violation(`not over after ${atMostMs / 1000} s: ${isOn}; open: ${states.join("; ")}`)
      }
      this.watch.look(this.gateway)
    }
  }

  private exchangeOf(number: number): WorldExchange {
    const exchange = this.exchanges.get(number)
    if (exchange === undefined) throw new Error(`request ${number} is not open`)
    return exchange
  }

  private happened(what: string, whom: string): void {
    this.happenings.set(what, (this.happenings.get(what) ?? 0) + 1)
    this.note(`${what} ${whom}`)
  }

  private note(line: string): void {
    this.history.add(this.time.nowMs, line)
  }

  private report(): WorldReport {
    const { history, time, watch } = this
    return {
      hash: history.hash,
      events: history.length,
      requests: this.arrived,
      outcomes: Object.fromEntries(watch.outcomes),
      happenings: Object.fromEntries(this.happenings),
      picks: watch.picks,
      placedInTurn: watch.turns.placedInTurn,
      recordsSaved: watch.recordsSeen,
      virtualS: (time.nowMs - START_MS) / 1000,
      violations: watch.violations,
      lastLines: history.lastLines
    }
  }
}

/** Of one of the equal requests. */
const prefillS = 0.2
