import { Context, Duration, Effect, Layer } from "effect"
import { makeSchedulerActor, type SchedulerHandle } from "../../actors/SchedulerActor.ts"
import { GatewayConfig } from "../GatewayConfig.ts"
import { PlacementPolicy } from "./placementPolicy.ts"
import { Restored } from "./restored.ts"
import { Telemetry } from "./telemetry.ts"

/** The scheduler actor of the pool. */
export class Scheduling extends Context.Tag("warmroute/Scheduling")<Scheduling, SchedulerHandle>() {}

export const layer: Layer.Layer<Scheduling, never, GatewayConfig | PlacementPolicy | Restored | Telemetry> = Layer
  .scoped(
    Scheduling,
    Effect.gen(function*() {
      const { limits, models, prefix } = yield* GatewayConfig
      const policy = yield* PlacementPolicy
      const restored = yield* Restored
      const { picks } = yield* Telemetry
      // Sketches keep their times as 32-bit floats, so the clock starts at zero.
      const startMs = performance.now()
      return yield* makeSchedulerActor({
        scheduler: {
          policy,
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
        onPick: picks.onPick,
        onRefusal: picks.onRefusal
      })
    })
  )
