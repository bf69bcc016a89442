import { Effect, Either, Exit, Scope } from "effect"
import { type DiscoveryHandle, makeDiscoveryActor } from "../../actors/DiscoveryActor.ts"
import type { PodActorOptions } from "../../actors/PodActorOptions.ts"
import { makePoolSupervisor, type PoolHandle } from "../../actors/PoolSupervisor.ts"
import type { ActorRef } from "../../actors/runtime/Actor.ts"
import { makeSchedulerActor, type SchedulerHandle } from "../../actors/SchedulerActor.ts"
import type { SchedulerActorOptions } from "../../actors/SchedulerActorOptions.ts"
import type { SchedulerActorSettings } from "../../actors/SchedulerSettings.ts"
import type { SchedulerMessage } from "../../actors/SchedulerMessages.ts"
import type { Decision } from "../../actors/SchedulerPort.ts"
import { makeSnapshotActor, snapshotActorDefaults } from "../../actors/SnapshotActor.ts"
import type { PodId } from "../../src/core/Pod.ts"
import type { Policy } from "../../src/core/Policy.ts"
import { admissionDefaults } from "../../src/core/waiting/AdmissionOptions.ts"
import { makePolicy } from "../../src/policies/registry.ts"
import type { SeededRandom } from "../../src/simulator/SeededRandom.ts"
import type { FaultyFleet } from "./FaultyFleet.ts"
import { Bounds, type Limits } from "./Bounds.ts"
import { Defects } from "./Defects.ts"
import type { SnapshotDisk } from "./SnapshotDisk.ts"
import type { VirtualTime, WorldLogLine } from "./VirtualTime.ts"
import { WorldFront } from "./WorldFront.ts"
import { constants, type WorldPlan } from "./WorldPlan.ts"
import type { WorldSource } from "./WorldSource.ts"
import { type UpstreamDeps, WorldUpstream } from "./WorldUpstream.ts"

/** What is watched of a gateway while it runs. */
export interface GatewayHooks {
  readonly onPick: (gateway: WorldGateway, decision: Decision) => void
  /** A message about the fleet was taken by the scheduler's mailbox. */
  readonly onTold: (gateway: WorldGateway, message: SchedulerMessage) => void
  readonly onLog: (gateway: WorldGateway, line: WorldLogLine) => void
  /** An actor that all need is beyond recovery. */
  readonly onLost: (gateway: WorldGateway) => void
  readonly onWaited: (gateway: WorldGateway, priority: number, waitedS: number, outcome: string) => void
}

export interface GatewayArgs {
  readonly plan: WorldPlan
  readonly time: VirtualTime
  readonly fleet: FaultyFleet
  readonly disk: SnapshotDisk
  readonly upstream: Omit<UpstreamDeps, "onBytes">
  readonly sources: ReadonlyArray<WorldSource>
  readonly random: SeededRandom
  readonly hooks: GatewayHooks
  readonly policy: string
}

/** One process of the gateway: the live actors, wired as config/ does it, without the sockets. */
export class WorldGateway {
  readonly startedMs: number
  /** Killed, or stopped for good: what still runs of it no longer counts. */
  isGone = false
  /** Takes requests. */
  isOpen = false
  /** It did, if only for a while. */
  hasOpened = false
  /** The actor that is beyond recovery. */
  lost: string | undefined
  readonly defects: Defects
  readonly bounds: Bounds
  readonly upstream: WorldUpstream
  front!: WorldFront
  scheduler!: SchedulerHandle
  pool!: PoolHandle
  discovery!: DiscoveryHandle
  private readonly args: GatewayArgs
  private isClosing = false
  private scope: Scope.CloseableScope | undefined

  constructor(args: GatewayArgs) {
    this.args = args
    this.startedMs = args.time.nowMs
    this.bounds = new Bounds(args.plan)
    this.defects = new Defects(args.time)
    this.upstream = new WorldUpstream({ ...args.upstream, onBytes: (id) => this.podSpeaks(id) })
  }

  get nowS(): number {
    return (this.args.time.nowMs - this.startedMs) / 1000
  }

  async start(): Promise<void> {
    const exit = await this.run(Effect.gen(this, function*() {
      const scope = yield* Scope.make()
      this.scope = scope
      yield* Scope.extend(this.startActors(), scope)
    }))
    if (Exit.isFailure(exit)) throw new Error(`the gateway did not start: ${exit.cause}`)
    this.isOpen = !this.isGone
    this.hasOpened = this.isOpen
    const failed = Effect.raceFirst(
      this.scheduler.ref.join,
      Effect.raceFirst(this.pool.ref.join, this.discovery.failed)
    )
    void this.run(Effect.catchAll(failed, ({ actor }) =>
      Effect.sync(() => {
        if (this.isGone || this.isClosing) return
        this.lost = actor
        this.args.hooks.onLost(this)
      })))
  }

  /** What the front does before: let nobody in, and wait for those inside. */
  async close(): Promise<void> {
    this.isClosing = true
    const { scope } = this
    if (scope !== undefined) await this.run(Scope.close(scope, Exit.void))
    if (!this.isGone) this.args.disk.close()
    this.isGone = true
  }

  /** kill -9: what it had in hand is lost, and what of it still runs here reaches nobody. */
  kill(): void {
    this.isGone = true
    this.isOpen = false
    this.upstream.lose()
    this.args.disk.kill()
    void this.close()
  }

  replacePolicy(policy: string): void {
    void this.run(Effect.ignore(this.scheduler.ref.tell({ _tag: "PolicyReplaced", policy: this.policyOf(policy) })))
  }

  replacePoolSettings(drainGraceMs: number, scrapeIntervalMs: number): void {
    const pod = this.podOptions(scrapeIntervalMs)
    const settings = { constantsFor: () => constants, drainGraceMs, pod }
    void this.run(Effect.ignore(this.pool.ref.tell({ _tag: "PoolSettingsReplaced", settings })))
  }

  replaceLimits(limits: Limits): void {
    this.bounds.change(limits)
    void this.run(this.scheduler.replaceSettings(this.schedulerSettings()))
  }

  replaceSources(sources: ReadonlyArray<WorldSource>): void {
    void this.run(this.discovery.replaceSources(sources))
  }

  private run(effect: Effect.Effect<void>): Promise<Exit.Exit<void>> {
    return this.args.time.start(effect, (line) => this.args.hooks.onLog(this, line))
  }

  private policyOf(type: string): Policy {
    const policy = Either.getOrThrowWith(makePolicy({ type }, this.args.plan.podsMax), (why) => new Error(why))
    return this.defects.inPick(policy)
  }

  private podOptions(scrapeIntervalMs: number): PodActorOptions {
    const { defects, args: { plan: { pod } } } = this
    return {
      ...pod,
      scrapeIntervalMs,
      // Read after each good scrape.
      get modelsEveryScrapes() {
        defects.inScrape()
        return pod.modelsEveryScrapes
      },
      // Read after an inspection that found it ill, among others.
      get unhealthyAfterDispatches() {
        defects.inScrape()
        return pod.unhealthyAfterDispatches
      }
    }
  }

  /** As a sweep of the client's sockets would tell, but without the pause until it. */
  private podSpeaks(id: PodId): void {
    if (this.pool.view.signs(id)?.isInDoubt === true) this.pool.podAnswers(id)
  }

  private startActors(): Effect.Effect<void, never, Scope.Scope> {
    const { disk, fleet, plan, sources } = this.args
    return Effect.gen(this, function*() {
      const snapshots = disk.forProcess(() => this.isGone)
      const restored = yield* snapshots.load
      this.scheduler = yield* makeSchedulerActor({
        ...this.schedulerOptions(),
        outputTokensByModel: restored.meta?.outputTokensByModel ?? {}
      })
      this.pool = yield* makePoolSupervisor({
        probe: {
          ...fleet.probe,
          models: (...asked) => fleet.probe.models(...asked).then(this.defects.inInspection)
        },
        scheduler: this.overheard(this.scheduler.ref),
        constantsFor: () => constants,
        restored: restored.pods,
        options: {
          podsMax: plan.podsMax,
          drainGraceMs: plan.drainGraceMs,
          podRetryMs: 5000,
          mailboxCapacity: 64,
          pod: this.podOptions(plan.pod.scrapeIntervalMs)
        }
      })
      this.front = new WorldFront(
        plan,
        this.pool.view,
        this.upstream,
        (what) => this.args.hooks.onLog(this, { level: "ERROR", text: what })
      )
      yield* makeSnapshotActor({
        scheduler: this.scheduler.ref,
        store: snapshots,
        podsSeen: () => {
          this.defects.inSnapshot()
          return this.pool.podsSeen()
        },
        restoredIds: restored.pods.map(({ id }) => id),
        options: { ...snapshotActorDefaults, intervalMs: plan.snapshotIntervalMs, podsPerTick: 2 }
      })
      const retry = { retryMinMs: 200, retryMaxMs: 2000 }
      this.discovery = yield* makeDiscoveryActor({ sources, pool: this.pool.ref, options: retry })
      yield* Effect.ignore(this.discovery.firstSets(1000))
    })
  }

  private schedulerOptions(): Omit<SchedulerActorOptions, "outputTokensByModel"> {
    const { hooks, plan, policy, random } = this.args
    const settings = this.schedulerSettings()
    return {
      ...settings,
      scheduler: {
        ...settings.scheduler,
        policy: this.policyOf(policy),
        podsMax: plan.podsMax,
        random: () => random.uniform()
      },
      nowS: () => this.nowS,
      onPick: (decision) => hooks.onPick(this, decision),
      onRefusal: () => {},
      onWaited: (priority, waitedS, outcome) => hooks.onWaited(this, priority, waitedS, outcome)
    }
  }

  private schedulerSettings(): SchedulerActorSettings {
    const { bounds: { limits }, args: { plan } } = this
    return {
      scheduler: {
        openRequestsMax: limits.openRequestsMax,
        modelsMax: 8,
        prefixEntriesMax: plan.prefixEntriesMax,
        initialOutputTokens: 100,
        guard: { breaker: limits.breaker, slowStartS: SLOW_START_S, stallAfterS: 10, onChange: () => {} }
      },
      waiting: limits.waits
        ? {
          ...admissionDefaults,
          requestsMax: limits.waitingMax,
          bytesMax: limits.waitingBytesMax,
          waitMaxS: limits.waitMaxS,
          podlessS: limits.podlessS,
          bandWaitMaxS: new Map([[5, limits.waitMaxS / 2]])
        }
        : undefined,
      mailboxCapacity: plan.mailboxCapacity,
      askDeadlineMs: 1000,
      noticeWithinS: 2
    }
  }

  /** The scheduler as pod actors see it. */
  private overheard(ref: ActorRef<SchedulerMessage>): ActorRef<SchedulerMessage> {
    const heard = (message: SchedulerMessage, isTaken: boolean): boolean => {
      if (isTaken) this.args.hooks.onTold(this, message)
      return isTaken
    }
    return {
      ...ref,
      unsafeTell: (message) => heard(message, ref.unsafeTell(message)),
      unsafeTellReserved: (message) => heard(message, ref.unsafeTellReserved(message))
    }
  }
}

export const SLOW_START_S = 5
