import { Context, Duration, Effect, Layer, Runtime } from "effect"
import { makeSchedulerActor, type SchedulerHandle } from "../../actors/SchedulerActor.ts"
import type { SchedulerActorSettings, WaitingOptions } from "../../actors/SchedulerSettings.ts"
import type { BreakerChange } from "../../src/core/PodGuard.ts"
import { makeBreakerLog } from "../../src/telemetry/breakerLog.ts"
import { admissionDefaults } from "../../src/core/waiting/AdmissionOptions.ts"
import { fleetRoomDefaults } from "../../src/core/waiting/FleetRoom.ts"
import { GatewayConfig } from "../GatewayConfig.ts"
import { PlacementPolicy } from "./placementPolicy.ts"
import { bandOverloadWaitS, overloadWaitS, shortQueueMaxS, timeoutOf } from "../waitingSection.ts"
import { Restored } from "./restored.ts"
import { Telemetry } from "./telemetry.ts"

/** The scheduler actor of the pool. */
export class Scheduling extends Context.Tag("warmroute/Scheduling")<
  Scheduling,
  SchedulerHandle & {
    /** The scheduler's clock. */
    readonly nowS: () => number
    readonly reload: (config: GatewayConfig) => Effect.Effect<void>
  }
>() {}

export const layer: Layer.Layer<Scheduling, never, GatewayConfig | PlacementPolicy | Restored | Telemetry> = Layer
  .scoped(
    Scheduling,
    Effect.gen(function*() {
      const config = yield* GatewayConfig
      const { podsMax } = config.limits
      const policy = yield* PlacementPolicy
      const restored = yield* Restored
      const { breakers, picks, waits } = yield* Telemetry
      const run = Runtime.runFork(yield* Effect.runtime())
      const breakerLog = makeBreakerLog({
        everyMs: BREAKER_LINE_MS,
        podsMax,
        nowMs: Date.now,
        warn: (line) => void run(Effect.logWarning(line)),
        info: (line) => void run(Effect.logInfo(line))
      })
      // Sketches keep their times as 32-bit floats, so the clock starts at zero.
      const startMs = performance.now()
      const nowS = () => (performance.now() - startMs) / 1000
      const onChange = (change: BreakerChange): void => {
        breakers.changed(change)
        breakerLog(change)
      }
      const settings = schedulerSettings(config, onChange)
      const scheduler = yield* makeSchedulerActor({
        ...settings,
        scheduler: { ...settings.scheduler, policy, podsMax, random: Math.random },
        nowS,
        outputTokensByModel: restored.meta?.outputTokensByModel ?? {},
        onPick: picks.onPick,
        onRefusal: picks.onRefusal,
        onWaited: waits.onWaited
      })
      const reload = (config: GatewayConfig): Effect.Effect<void> =>
        scheduler.replaceSettings(schedulerSettings(config, onChange))
      return { ...scheduler, nowS, reload }
    })
  )

/** What of the configuration the scheduler takes while it runs. */
const schedulerSettings = (
  { breaker, limits, models, prefix, scrape, waiting }: GatewayConfig,
  onChange: (change: BreakerChange) => void
): SchedulerActorSettings => ({
  scheduler: {
    openRequestsMax: limits.openRequestsMax,
    modelsMax: limits.modelsMax,
    prefixEntriesMax: prefix.entriesMax,
    initialOutputTokens: models.initialOutputTokens,
    room: {
      ...fleetRoomDefaults,
      queueMaxS: Duration.toSeconds(waiting.podQueueMax),
      giantTokens: waiting.giantTokens
    },
    guard: {
      breaker: {
        failuresInRow: breaker.failuresInRow,
        failureRatio: breaker.failureRatio,
        requestsMin: breaker.requestsMin,
        windowS: Duration.toSeconds(breaker.window),
        openMinS: Duration.toSeconds(breaker.openMin),
        openMaxS: Duration.toSeconds(breaker.openMax)
      },
      slowStartS: Duration.toSeconds(breaker.slowStart),
      stallAfterS: Duration.toSeconds(breaker.stallAfter),
      onChange
    }
  },
  waiting: waiting.enabled ? waitingOptions(waiting) : undefined,
  mailboxCapacity: limits.mailboxCapacity,
  askDeadlineMs: Duration.toMillis(limits.askDeadline),
  noticeWithinS: Duration.toSeconds(scrape.interval) + Duration.toSeconds(scrape.timeout)
})

const waitingOptions = (waiting: GatewayConfig["waiting"]): WaitingOptions => ({
  ...admissionDefaults,
  requestsMax: waiting.requestsMax,
  bytesMax: waiting.bytesMax,
  patienceS: Duration.toSeconds(waiting.patience),
  podlessS: Duration.toSeconds(waiting.podlessTimeout),
  waitMaxS: Duration.toSeconds(timeoutOf(waiting)),
  overloadAfterS: Duration.toSeconds(waiting.overloadAfter),
  yieldForS: Duration.toSeconds(waiting.yieldFor),
  overloadWaitS: overloadWaitS(waiting),
  bandOverloadWaitS: byPriority(waiting.bands, bandOverloadWaitS),
  shortQueueMaxS: shortQueueMaxS(waiting.podQueueMax),
  bandWaitMaxS: byPriority(waiting.bands, ({ timeout }) => timeout && Duration.toSeconds(timeout)),
  bandRequestsMax: byPriority(waiting.bands, ({ requestsMax }) => requestsMax),
  bandQueueMaxS: byPriority(waiting.bands, ({ podQueueMax }) => podQueueMax && Duration.toSeconds(podQueueMax))
})

/** What bands set, by their priority. */
const byPriority = <Band extends { readonly priority: number }>(
  bands: ReadonlyArray<Band>,
  valueOf: (band: Band) => number | undefined
): ReadonlyMap<number, number> =>
  new Map(bands.flatMap((band): ReadonlyArray<readonly [number, number]> => {
    const value = valueOf(band)
    return value === undefined ? [] : [[band.priority, value]]
  }))

/** Changes of one pod's breaker are logged at most this often. */
const BREAKER_LINE_MS = 30_000
