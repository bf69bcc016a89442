import { Context, Duration, Effect, Layer } from "effect"
import { podActorDefaults } from "../../actors/PodActorOptions.ts"
import type { PoolSettings } from "../../actors/PoolMessages.ts"
import { makePoolSupervisor, type PoolHandle } from "../../actors/PoolSupervisor.ts"
import { tellPatiently } from "../../actors/runtime/tellPatiently.ts"
import type { EngineConstants } from "../../src/core/EngineConstants.ts"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import type { PodAddress } from "../../src/core/Pod.ts"
import { makePodProbe } from "../../src/vllm/PodProbe.ts"
import { GatewayConfig } from "../GatewayConfig.ts"
import { Doors } from "./doors.ts"
import { Restored } from "./restored.ts"
import { Scheduling } from "./scheduling.ts"

/** The supervisor of the pods' actors. */
export class Pool extends Context.Tag("warmroute/Pool")<
  Pool,
  PoolHandle & {
    readonly reload: (config: GatewayConfig) => Effect.Effect<void>
  }
>() {}

export const layer: Layer.Layer<Pool, never, Doors | GatewayConfig | Restored | Scheduling> = Layer.scoped(
  Pool,
  Effect.gen(function*() {
    const config = yield* GatewayConfig
    const { limits } = config
    const { constantsFor, drainGraceMs, pod } = poolSettings(config)
    const { ref } = yield* Scheduling
    const restored = yield* Restored
    const { access } = yield* Doors
    const probe = makePodProbe({ ...probeLimits(config), access })
    const pool = yield* makePoolSupervisor({
      probe,
      scheduler: ref,
      constantsFor,
      restored: restored.pods,
      options: {
        podsMax: limits.podsMax,
        drainGraceMs,
        podRetryMs: POD_RETRY_MS,
        mailboxCapacity: MAILBOX_CAPACITY,
        pod
      }
    })
    const reload = (config: GatewayConfig): Effect.Effect<void> =>
      Effect.suspend(() => {
        probe.replaceLimits(probeLimits(config))
        return tellPatiently(pool.ref, { _tag: "PoolSettingsReplaced", settings: poolSettings(config) })
      })
    return { ...pool, reload }
  })
)

const probeLimits = ({ limits, scrape }: GatewayConfig) => ({
  pageBytesMax: scrape.pageBytesMax,
  modelsMax: limits.modelsMax
})

/** What of the configuration the pool takes while it runs. */
const poolSettings = ({ hardware, limits, scrape }: GatewayConfig): PoolSettings => ({
  constantsFor: constantsFor(hardware.constants),
  drainGraceMs: Duration.toMillis(limits.podDrainGrace),
  pod: {
    ...podActorDefaults,
    scrapeIntervalMs: Duration.toMillis(scrape.interval),
    scrapeRetryMs: Duration.toMillis(scrape.retryAfter),
    scrapeTimeoutMs: Duration.toMillis(scrape.timeout),
    unhealthyAfterScrapes: scrape.failuresBeforeUnhealthy,
    awayScrapesPerS: scrape.awayPerSecond,
    unhealthyAfterDispatches: scrape.failuresBeforeUnhealthy,
    modelsEveryScrapes: scrape.modelsEveryScrapes
  }
})

/** A pod whose actor keeps crashing is tried again after this. */
const POD_RETRY_MS = 30_000
/** Sets of pods that may wait for the supervisor. */
const MAILBOX_CAPACITY = 64

const constantsFor = (ofAll: EngineConstants) => (address: PodAddress): EngineConstants =>
  (address.preset === undefined ? undefined : hardwarePresets[address.preset]) ?? ofAll
