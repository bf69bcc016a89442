import { Context, Duration, Effect, Layer, Option, type Scope } from "effect"
import packageJson from "../package.json" with { type: "json" }
import { makeDiscoveryActor } from "../actors/DiscoveryActor.ts"
import type { PoolView } from "../actors/PoolView.ts"
import type { ActorStopped } from "../actors/runtime/errors.ts"
import { makeSnapshotActor, snapshotActorDefaults } from "../actors/SnapshotActor.ts"
import type { Scheduler } from "../src/core/Scheduler.ts"
import { BadConfiguration } from "../src/errors.ts"
import type { SchedulerPort } from "../actors/SchedulerPort.ts"
import type { ExtProcServer } from "../src/extproc/serveExtProc.ts"
import type { PodId } from "../src/core/Pod.ts"
import { SnapshotStore } from "../src/storage/SnapshotStore.ts"
import { watchGuard } from "../src/telemetry/breakerMetrics.ts"
import { watchDecisionLog } from "../src/telemetry/decisionMetrics.ts"
import { watchLimits } from "../src/telemetry/limitMetrics.ts"
import { watchLlmdPool } from "../src/telemetry/llmdPoolAliases.ts"
import { watchKeys } from "../src/telemetry/keyMetrics.ts"
import { watchMailboxes, watchPodHealth, watchPodTable, watchSketches } from "../src/telemetry/poolMetrics.ts"
import { firstLooks } from "./firstLooks.ts"
import { ConfigReader } from "./ConfigReader.ts"
import { watchWaiting } from "../src/telemetry/waitMetrics.ts"
import { GatewayConfig } from "./GatewayConfig.ts"
import { makeReloadMetrics } from "../src/telemetry/reloadMetrics.ts"
import { GatewayStartError } from "./GatewayStartError.ts"
import { isOpenToAll } from "./isOpenToAll.ts"
import { makeDefectLog } from "./layers/defectLog.ts"
import { makeDecisionLog } from "./layers/decisionLog.ts"
import { listenForEnvoy } from "./layers/extProc.ts"
import { frontSettingsWith } from "./layers/front.ts"
import { ClusterRules } from "./layers/clusterRules.ts"
import * as clusterRules from "./layers/clusterRules.ts"
import { Doors } from "./layers/doors.ts"
import * as doors from "./layers/doors.ts"
import { listenForClients, listenForOperators } from "./layers/listening.ts"
import { limitsInUse } from "./layers/limitsInUse.ts"
import * as placementPolicy from "./layers/placementPolicy.ts"
import { PodSources } from "./layers/podSources.ts"
import * as podSources from "./layers/podSources.ts"
import { Pool } from "./layers/pool.ts"
import * as pool from "./layers/pool.ts"
import { Restored } from "./layers/restored.ts"
import * as restored from "./layers/restored.ts"
import { Scheduling } from "./layers/scheduling.ts"
import * as scheduling from "./layers/scheduling.ts"
import * as snapshotStore from "./layers/snapshotStore.ts"
import { applyConfig, type RunningParts } from "./reload/applyConfig.ts"
import { takersOf } from "./reload/takers.ts"
import { makeReloadActor, type ReloadHandle, type ReloadReport } from "./reload/ReloadActor.ts"
import { stopListening } from "./layers/stopListening.ts"
import { Telemetry } from "./layers/telemetry.ts"
import * as telemetry from "./layers/telemetry.ts"

/** A running gateway. */
export interface GatewayHandle {
  readonly url: string
  readonly port: number
  /** Where operators ask; undefined when that is off. */
  readonly adminUrl: string | undefined
  /** Where Envoy asks for pods, and its health checks' own port; undefined when there is no picker. */
  readonly picker: Pick<ExtProcServer, "port" | "healthPort"> | undefined
  readonly poolView: PoolView
  /** Pods whose sketch came back from the snapshot. */
  readonly restoredPods: number
  /** Requests that hold a reservation; 0 when idle. */
  readonly openRequests: () => number
  /** What it runs with now; a reload changes it. */
  readonly config: () => GatewayConfig
  /**
   * Reads the configuration again and takes it; no open request notices. Rejects with a GatewayError when it is wrong,
   * and then nothing has changed.
   */
  readonly reload: () => Promise<ReloadReport>
  /** Not ready any more, but still serving. */
  readonly announceStop: Effect.Effect<void>
  /** Stops taking requests and gives those that run this long to end. Called again it can only shorten that time. */
  readonly drain: (graceMs: number) => Effect.Effect<void>
  /** Fails when an actor that all pods need is beyond recovery: the process should end its requests, and itself. */
  readonly failed: Effect.Effect<never, ActorStopped>
}

/** The gateway as one service: everything wired, listening. */
export class Gateway extends Context.Tag("warmroute/Gateway")<Gateway, GatewayHandle>() {}

/** How long the start waits for the sources of pods to answer for the first time. */
const FIRST_SETS_WITHIN_MS = 5_000
/** How long it waits for the first look at each pod. */
const FIRST_LOOKS_WITHIN_MS = 250
const DISCOVERY_RETRY = { retryMinMs: 500, retryMaxMs: 30_000 }

const start = Effect.gen(function*() {
  const config = yield* GatewayConfig
  const { explain, nowS, ref, reload: reloadScheduling, room, view, ...port } = yield* Scheduling
  const { podAnswers, podFailed: lookAt, podsSeen, ref: poolRef, reload: reloadPool, view: poolView } = yield* Pool
  const { pods: restoredPods } = yield* Restored
  const telemetry = yield* Telemetry
  const doors = yield* Doors
  const { followTls, keys, tls } = doors
  watchKeys(telemetry.registry, keys)
  watchPool(telemetry, view, nowS, poolView, [ref, poolRef])
  watchRoom(config, telemetry, view, room)
  const runtime = yield* Effect.runtime()
  const log = yield* makeDefectLog
  // Scopes close in reverse: the front first, then the last snapshot, and only then pods and scheduler.
  const { replaceInterval } = yield* makeSnapshotActor({
    scheduler: ref,
    store: counted(yield* SnapshotStore, telemetry),
    podsSeen,
    restoredIds: restoredPods.map(({ id }) => id),
    options: { ...snapshotActorDefaults, intervalMs: Duration.toMillis(config.snapshot.interval) }
  })
  const discovery = yield* discoverPods(config)
  const metricsText = () => telemetry.registry.render()
  const frontSettings = frontSettingsWith(doors, yield* ClusterRules, metricsText)
  const decisionLog = yield* makeDecisionLog(config)
  watchDecisionLog(telemetry.registry, decisionLog)
  const scheduler = alsoLooking(port, lookAt)
  yield* firstLooks(poolView, FIRST_LOOKS_WITHIN_MS)
  const front = yield* listenForClients(config, tls, {
    scheduler,
    pool: poolView,
    podAnswers,
    ...frontSettings(config),
    metrics: telemetry.front,
    decisionLog,
    version: packageJson.version,
    log
  })
  followTls(front.replaceTls)
  const metrics = telemetry.front
  const picker = yield* listenForEnvoy(config, { scheduler, metrics, decisionLog, front: front.shared, log })
  yield* warnIfOpen(config)
  const sources = yield* PodSources
  const others = { front, frontSettings, picker, telemetry, decisionLog, replaceInterval }
  const takers = [...takersOf(config, others), reloadScheduling, reloadPool]
  const parts: RunningParts = { doors, scheduler: ref, discovery, sources, takers }
  const { reload, running } = yield* makeReload(config, telemetry, parts)
  watchLimits(telemetry.registry, limitsInUse(running, { front, picker, room, mailbox: ref, poolView }))
  const { readFeatures, stopping } = front
  const bodyBytesMax = () => running().limits.bodyBytesMax
  const questions = { explain, readFeatures, pool: poolView, metricsText, reload, stopping, bodyBytesMax, log }
  const admin = yield* listenForOperators(config, questions)
  return {
    url: front.url,
    port: front.port,
    adminUrl: admin?.url,
    picker,
    poolView,
    restoredPods: restoredPods.length,
    openRequests: () => view.openRequests,
    config: running,
    reload,
    announceStop: Effect.sync(() => {
      front.announceStop()
      picker?.announceStop()
    }),
    drain: (graceMs: number) => Effect.provide(stopListening(front, picker, graceMs), runtime),
    failed: Effect.raceFirst(ref.join, Effect.raceFirst(poolRef.join, discovery.failed))
  }
})

/** The port whose reports of failed pods bring a look at the pod as well. */
const alsoLooking = (port: SchedulerPort, lookAt: (id: PodId, why: string) => void): SchedulerPort => ({
  ...port,
  podFailed: (id, failure) => {
    port.podFailed(id, failure)
    lookAt(id, failure.why)
  }
})

const warnIfOpen = (config: GatewayConfig): Effect.Effect<void> =>
  isOpenToAll(config) ? Effect.logWarning(openToAll(config)) : Effect.void

/** A gateway without a reader of its configuration runs with that of its start until it stops. */
const makeReload = (
  started: GatewayConfig,
  { registry }: Telemetry["Type"],
  parts: RunningParts
): Effect.Effect<ReloadHandle, never, Scope.Scope> =>
  Effect.gen(function*() {
    const reader = yield* Effect.serviceOption(ConfigReader)
    if (Option.isNone(reader)) {
      const message = "this gateway has no configuration to read again: it was composed without a ConfigReader"
      return { reload: () => Promise.reject(new BadConfiguration({ message })), running: () => started }
    }
    const { reloaded } = makeReloadMetrics(registry, Date.now)
    const bring = applyConfig(parts)
    const apply: typeof bring = (before, after) =>
      Effect.zipRight(bring(before, after), isOpenToAll(before) ? Effect.void : warnIfOpen(after))
    return yield* makeReloadActor({ started, reader: reader.value, apply, reloaded })
  })

/** Numbers that live with the pool are read when the page is written. */
const watchPool = (
  { registry }: Telemetry["Type"],
  scheduler: Scheduler,
  nowS: () => number,
  { pods }: PoolView,
  actors: ReadonlyArray<{ readonly name: string; readonly depth: () => number }>
): void => {
  watchPodTable(registry, scheduler.table)
  watchGuard(registry, scheduler.table, scheduler.guard, nowS)
  watchPodHealth(registry, pods)
  watchMailboxes(registry, actors)
  watchSketches(registry, scheduler)
}

/** Who waits; and the pool under llm-d's names, where those are asked for. */
const watchRoom = (
  { discovery, metrics }: GatewayConfig,
  { registry, waits }: Telemetry["Type"],
  scheduler: Scheduler,
  room: Scheduling["Type"]["room"]
): void => {
  watchWaiting(registry, room, waits.label)
  if (!metrics.llmdAliases) return
  watchLlmdPool(registry, {
    table: scheduler.table,
    name: discovery.kubernetes?.pool ?? "warmroute",
    sketchBlocks: () => scheduler.sketchBlocks,
    waitingRequests: () => room.count
  })
}

/** The store with its saves counted. */
const counted = (store: SnapshotStore["Type"], { snapshots }: Telemetry["Type"]): SnapshotStore["Type"] => ({
  ...store,
  save: (pods, meta) =>
    store.save(pods, meta).pipe(
      Effect.tap(() => Effect.sync(() => snapshots.saved(pods.length))),
      Effect.tapError(() => Effect.sync(snapshots.failed))
    )
})

/** Follows the sources; the start fails when the file of pods can't be read, while a DNS name may come later. */
const discoverPods = (config: GatewayConfig) =>
  Effect.gen(function*() {
    const sources = yield* PodSources
    const { ref } = yield* Pool
    const discovery = yield* makeDiscoveryActor({ sources, pool: ref, options: DISCOVERY_RETRY })
    yield* discovery.firstSets(FIRST_SETS_WITHIN_MS).pipe(
      Effect.catchTag("DiscoveryError", (error) =>
        error.source === config.discovery.file?.path
          ? Effect.fail(new GatewayStartError({ message: `discovery.file.path: ${error.message}` }))
          : Effect.void),
      Effect.catchTags({
        AskTimedOut: () =>
          Effect.logWarning("not every source of pods has answered yet; starting with those that have"),
        MailboxFull: Effect.die,
        ActorCrashed: Effect.die,
        ActorStopped: Effect.die
      })
    )
    return discovery
  })

const openToAll = ({ listen: { metrics } }: GatewayConfig): string =>
  `anybody who can reach this machine can use the gateway${metrics === "never" ? "" : " and read its /metrics"}: it ` +
  "asks for no API keys and listens on more than the loopback; set auth.keys (`warmroute key` makes one), which takes " +
  "/metrics off this port too, listen on 127.0.0.1, or say --insecure"

/** A gateway whose choices are still open: the policy, where pods come from, and where snapshots go. */
export const layerOpen = Layer.scoped(Gateway, start).pipe(
  Layer.provide(pool.layer),
  Layer.provide(scheduling.layer),
  Layer.provide([restored.layer, telemetry.layer, doors.layer, clusterRules.layer])
)

/** A gateway with every choice as the configuration says. */
export const layer = layerOpen.pipe(
  Layer.provide([placementPolicy.layer, podSources.layer, snapshotStore.layer])
)

/** Starts a gateway in the scope; closing the scope stops it in order. Without a reader it can't be reloaded. */
export const startGateway = (
  config: GatewayConfig,
  reader?: ConfigReader["Type"]
): Effect.Effect<GatewayHandle, GatewayStartError, Scope.Scope> => {
  const given = Layer.succeed(GatewayConfig, config)
  const started = Layer.provide(layer, given)
  return Effect.map(
    Layer.build(reader === undefined ? started : Layer.provide(started, Layer.succeed(ConfigReader, reader))),
    (context) => Context.get(context, Gateway)
  )
}
