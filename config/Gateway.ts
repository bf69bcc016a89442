import { Context, Data, Duration, Effect, Layer, type Scope } from "effect"
import packageJson from "../package.json" with { type: "json" }
import { podActorDefaults } from "../actors/PodActor.ts"
import { makePoolSupervisor, type PoolHandle } from "../actors/PoolSupervisor.ts"
import type { PoolView } from "../actors/PoolView.ts"
import type { ActorStopped } from "../actors/runtime/errors.ts"
import { makeSchedulerActor, type SchedulerHandle } from "../actors/SchedulerActor.ts"
import type { EngineConstants } from "../src/core/EngineConstants.ts"
import { hardwarePresets } from "../src/core/hardwarePresets.ts"
import type { PodAddress } from "../src/core/Pod.ts"
import type { Policy } from "../src/core/Policy.ts"
import { frontDefaults, type FrontDeps } from "../src/http/FrontOptions.ts"
import { serveFront } from "../src/http/serveFront.ts"
import { upstreamDefaults } from "../src/http/upstream/UpstreamOptions.ts"
import { makePolicy } from "../src/policies/registry.ts"
import { type SnapshotContents, SnapshotStore } from "../src/storage/SnapshotStore.ts"
import { makePodProbe, podProbeDefaults } from "../src/vllm/PodProbe.ts"
import { GatewayConfig } from "./GatewayConfig.ts"

/** The gateway did not start. `message` is for the operator: what, where, and what to do. */
export class GatewayStartError extends Data.TaggedError("GatewayStartError")<{ readonly message: string }> {}

/** A running gateway. */
export interface GatewayHandle {
  readonly url: string
  readonly port: number
  readonly poolView: PoolView
  /** Pods whose sketch came back from the snapshot. */
  readonly restoredPods: number
  /** Requests that have a reservation; 0 when idle. */
  readonly openRequests: () => number
  /** Stops taking requests and gives those that run this long to end. */
  readonly drain: (graceMs: number) => Effect.Effect<void>
  /** Fails when the scheduler is beyond recovery: the process should end. */
  readonly failed: Effect.Effect<never, ActorStopped>
}

/** The choice of policy. */
export class PlacementPolicy extends Context.Tag("warmroute/PlacementPolicy")<PlacementPolicy, Policy>() {
  static readonly layer = Layer.effect(
    PlacementPolicy,
    Effect.flatMap(GatewayConfig, (config) =>
      makePolicy(config.policy, config.limits.podsMax).pipe(
        Effect.mapError((why) => new GatewayStartError({ message: `policy: ${why}` }))
      ))
  )
}

/** What the last life of the gateway left behind, read once and before the first pick. */
class Restored extends Context.Tag("warmroute/Restored")<Restored, SnapshotContents>() {
  static readonly layer = Layer.effect(Restored, Effect.flatMap(SnapshotStore, (store) => store.load))
}

/** The scheduler actor of the pool. */
export class Scheduling extends Context.Tag("warmroute/Scheduling")<Scheduling, SchedulerHandle>() {
  static readonly layer = Layer.scoped(
    Scheduling,
    Effect.gen(function*() {
      const { limits, models, prefix } = yield* GatewayConfig
      const startMs = performance.now()
      const restored = yield* Restored
      return yield* makeSchedulerActor({
        scheduler: {
          policy: yield* PlacementPolicy,
          podsMax: limits.podsMax,
          openRequestsMax: limits.openRequestsMax,
          modelsMax: limits.modelsMax,
          prefixEntriesMax: prefix.entriesMax,
          initialOutputTokens: models.initialOutputTokens,
          random: Math.random
        },
        mailboxCapacity: limits.mailboxCapacity,
        askDeadlineMs: Duration.toMillis(limits.askDeadline),
        nowS: () => (performance.now() - startMs) / 1000,
        outputTokensByModel: restored.meta?.outputTokensByModel ?? {},
        onPick: () => {},
        onRefusal: () => {}
      })
    })
  )
}

const constantsFor = (fallback: EngineConstants) => (address: PodAddress): EngineConstants =>
  (address.preset === undefined ? undefined : hardwarePresets[address.preset]) ?? fallback

/** The pods and their supervisor. */
export class Pool extends Context.Tag("warmroute/Pool")<Pool, PoolHandle>() {
  static readonly layer = Layer.scoped(
    Pool,
    Effect.gen(function*() {
      const { hardware, limits, scrape } = yield* GatewayConfig
      const scheduling = yield* Scheduling
      const restored = yield* Restored
      return yield* makePoolSupervisor({
        probe: makePodProbe({ ...podProbeDefaults, pageBytesMax: scrape.pageBytesMax }),
        scheduler: scheduling.ref,
        constantsFor: constantsFor(hardware.constants),
        restored: restored.pods,
        options: {
          podsMax: limits.podsMax,
          drainGraceMs: Duration.toMillis(limits.shutdownGrace),
          podRetryMs: 30_000,
          mailboxCapacity: 256,
          pod: {
            ...podActorDefaults,
            scrapeIntervalMs: Duration.toMillis(scrape.interval),
            scrapeTimeoutMs: Duration.toMillis(scrape.timeout),
            unhealthyAfterScrapes: scrape.failuresBeforeUnhealthy,
            unhealthyAfterDispatches: scrape.failuresBeforeUnhealthy,
            modelsEveryScrapes: scrape.modelsEveryScrapes
          }
        }
      })
    })
  )
}

/** The gateway as one service: everything wired, listening. */
export class Gateway extends Context.Tag("warmroute/Gateway")<Gateway, GatewayHandle>() {
  /** Needs the configuration and a snapshot store; the policy and the pods' sources can be replaced below it. */
  static readonly layer = Layer.scoped(
    Gateway,
    Effect.gen(function*() {
      const config = yield* GatewayConfig
      const scheduling = yield* Scheduling
      const pool = yield* Pool
      const restored = yield* Restored
      const front = yield* listen(config, {
        scheduler: { ...scheduling, podFailed: pool.podFailed },
        pool: pool.view,
        options: {
          ...frontDefaults,
          aliases: new Map(Object.entries(config.models.aliases)),
          exposePodHeader: config.answers.podHeader,
          retriesMax: config.limits.retriesMax,
          bodyBytesMax: config.limits.bodyBytesMax,
          bodyReadTimeoutMs: Duration.toMillis(config.limits.bodyReadTimeout),
          openRequestsMax: config.limits.openRequestsMax,
          learnedModelsMax: config.limits.modelsMax
        },
        upstream: {
          ...upstreamDefaults,
          connectionsMax: config.limits.connectionsPerPodMax,
          idleMax: config.limits.idleConnectionsPerPodMax,
          idleMaxMs: Duration.toMillis(config.limits.upstreamIdleMax),
          connectTimeoutMs: Duration.toMillis(config.limits.connectTimeout),
          firstByteTimeoutMs: Duration.toMillis(config.limits.firstByteTimeout),
          silenceTimeoutMs: Duration.toMillis(config.limits.silenceTimeout)
        },
        metrics: {
          requestStarted: () => {},
          requestEnded: () => {},
          firstByte: () => {},
          picked: () => {},
          retried: () => {},
          tokens: () => {}
        },
        metricsText: () => "",
        version: packageJson.version,
        log: (message, cause) => console.error(message, cause)
      })
      yield* pool.ref.tell({ _tag: "PodsDiscovered", addresses: config.pods }).pipe(Effect.orDie)
      return {
        url: front.url,
        port: front.port,
        poolView: pool.view,
        restoredPods: restored.pods.length,
        openRequests: () => scheduling.view.openRequests,
        drain: (graceMs) => Effect.promise(() => front.stop(graceMs)),
        failed: scheduling.ref.join
      }
    })
  ).pipe(
    Layer.provide(Pool.layer),
    Layer.provide(Scheduling.layer),
    Layer.provide(Restored.layer)
  )
}

const listen = (config: GatewayConfig, deps: FrontDeps) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => serveFront(config.listen, deps),
      catch: (cause) =>
        new GatewayStartError({
          message: `can't listen on ${config.listen.hostname}:${config.listen.port}: ${
            cause instanceof Error ? cause.message : String(cause)
          }; stop what has the port, or choose another with --port or listen.port`
        })
    }),
    (server) => Effect.promise(() => server.stop(0))
  )

/** Starts a gateway in the scope; closing the scope stops it in order. */
export const startGateway = (config: GatewayConfig): Effect.Effect<GatewayHandle, GatewayStartError, Scope.Scope> =>
  Gateway.layer.pipe(
    Layer.provide(PlacementPolicy.layer),
    Layer.provide(Layer.succeed(SnapshotStore, noStore)),
    Layer.provide(Layer.succeed(GatewayConfig, config)),
    Layer.build,
    Effect.map((context) => Context.get(context, Gateway))
  )

const noStore: Context.Tag.Service<typeof SnapshotStore> = {
  load: Effect.succeed({ pods: [], meta: undefined }),
  save: () => Effect.void,
  remove: () => Effect.void
}
