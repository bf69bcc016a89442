import { Context, Effect, Layer } from "effect"
import packageJson from "../../package.json" with { type: "json" }
import { proxyRoutes } from "../../src/http/routes.ts"
import { makeBreakerMetrics } from "../../src/telemetry/breakerMetrics.ts"
import { makeFrontMetrics } from "../../src/telemetry/frontMetrics.ts"
import { frontWithLlmdNames, picksWithLlmdNames, waitsWithLlmdNames } from "../../src/telemetry/llmdRequestAliases.ts"
import { MetricRegistry } from "../../src/telemetry/MetricRegistry.ts"
import { makePickMetrics } from "../../src/telemetry/pickMetrics.ts"
import { makeSnapshotMetrics } from "../../src/telemetry/poolMetrics.ts"
import { watchEventLoop, watchProcess } from "../../src/telemetry/processMetrics.ts"
import { makeWaitMetrics } from "../../src/telemetry/waitMetrics.ts"
import { GatewayConfig } from "../GatewayConfig.ts"

/** The gateway's own numbers; `registry` writes the page for `GET /metrics`. */
export class Telemetry extends Context.Tag("warmroute/Telemetry")<Telemetry, {
  readonly registry: MetricRegistry
  readonly front: ReturnType<typeof makeFrontMetrics>
  readonly picks: ReturnType<typeof makePickMetrics>
  readonly waits: ReturnType<typeof makeWaitMetrics>
  readonly breakers: ReturnType<typeof makeBreakerMetrics>
  readonly snapshots: ReturnType<typeof makeSnapshotMetrics>
  readonly reload: (config: GatewayConfig) => void
}>() {}

export const layer: Layer.Layer<Telemetry, never, GatewayConfig> = Layer.scoped(
  Telemetry,
  Effect.gen(function*() {
    const { limits, metrics } = yield* GatewayConfig
    const registry = new MetricRegistry(limits.podsMax + limits.modelsMax)
    watchProcess(registry, packageJson.version)
    yield* watchEventLoop(registry, LAG_PROBE_MS)
    const bounds = { routesMax: proxyRoutes.length, modelsMax: limits.modelsMax, podsMax: limits.podsMax }
    const front = makeFrontMetrics(registry, bounds)
    const picks = makePickMetrics(registry)
    const waits = makeWaitMetrics(registry)
    return {
      registry,
      ...(metrics.llmdAliases
        ? {
          front: frontWithLlmdNames(registry, front, bounds),
          picks: picksWithLlmdNames(registry, picks),
          waits: waitsWithLlmdNames(registry, waits)
        }
        : { front, picks, waits }),
      breakers: makeBreakerMetrics(registry, limits.podsMax),
      snapshots: makeSnapshotMetrics(registry, Date.now),
      reload: ({ limits: { modelsMax, podsMax } }: GatewayConfig) => {
        bounds.modelsMax = modelsMax
        registry.resize(podsMax + modelsMax)
      }
    }
  })
)

/** Between two looks at how late the event loop is. */
const LAG_PROBE_MS = 100
