import { Context, Effect, Layer, Runtime, Schedule } from "effect"
import { ActorWatch } from "../../actors/runtime/ActorWatch.ts"
import { type CallbackFailed, callbackFailedText, harmless } from "../../src/core/harmless.ts"
import packageJson from "../../package.json" with { type: "json" }
import type { FrontMetrics } from "../../src/http/FrontMetrics.ts"
import { proxyRoutes } from "../../src/http/routes.ts"
import { makeBreakerMetrics } from "../../src/telemetry/breakerMetrics.ts"
import { makeFrontMetrics } from "../../src/telemetry/frontMetrics.ts"
import { frontWithLlmdNames, picksWithLlmdNames, waitsWithLlmdNames } from "../../src/telemetry/llmdRequestAliases.ts"
import { MetricRegistry } from "../../src/telemetry/MetricRegistry.ts"
import { makeRefusalLog } from "../../src/telemetry/refusalLog.ts"
import { makePickMetrics } from "../../src/telemetry/pickMetrics.ts"
import { makeActorMetrics, makeSnapshotMetrics } from "../../src/telemetry/poolMetrics.ts"
import { watchEventLoop, watchProcess } from "../../src/telemetry/processMetrics.ts"
import { makeWaitMetrics } from "../../src/telemetry/waitMetrics.ts"
import type { GatewayError } from "../../src/errors.ts"
import { GatewayConfig } from "../GatewayConfig.ts"

/** The gateway's own numbers; `registry` writes the page for `GET /metrics`. */
export class Telemetry extends Context.Tag("warmroute/Telemetry")<Telemetry, {
  readonly registry: MetricRegistry
  readonly front: FrontMetrics
  readonly picks: ReturnType<typeof makePickMetrics>
  readonly waits: ReturnType<typeof makeWaitMetrics>
  readonly breakers: ReturnType<typeof makeBreakerMetrics>
  readonly snapshots: ReturnType<typeof makeSnapshotMetrics>
  /** Of the actors, by their names. */
  readonly crashed: (name: string) => void
  readonly reload: (config: GatewayConfig) => void
}>() {}

const numbers: Layer.Layer<Telemetry, never, GatewayConfig> = Layer.scoped(
  Telemetry,
  Effect.gen(function*() {
    const { limits, metrics } = yield* GatewayConfig
    const registry = new MetricRegistry(limits.podsMax + limits.modelsMax)
    watchProcess(registry, packageJson.version)
    yield* watchEventLoop(registry, LAG_PROBE_MS)
    const bounds = { routesMax: proxyRoutes.length, modelsMax: limits.modelsMax, podsMax: limits.podsMax }
    const front = makeFrontMetrics(registry, bounds)
    const run = Runtime.runFork(yield* Effect.runtime())
    const callbackFailed: CallbackFailed = (name, times, cause) =>
      void run(Effect.logError(callbackFailedText(name, times), cause))
    const refusalLog = yield* followRefusals
    const refused = (error: GatewayError): void => {
      front.refused(error)
      refusalLog(error)
    }
    const picks = makePickMetrics(registry)
    const waits = makeWaitMetrics(registry)
    return {
      registry,
      front: { ...(metrics.llmdAliases ? frontWithLlmdNames(registry, front, bounds) : front), refused },
      picks: metrics.llmdAliases ? picksWithLlmdNames(registry, picks) : picks,
      waits: metrics.llmdAliases ? waitsWithLlmdNames(registry, waits) : waits,
      breakers: makeBreakerMetrics(registry, limits.podsMax),
      ...harmless(makeActorMetrics(registry), callbackFailed),
      snapshots: harmless(makeSnapshotMetrics(registry, Date.now), callbackFailed),
      reload: ({ limits: { modelsMax, podsMax } }: GatewayConfig) => {
        bounds.modelsMax = modelsMax
        registry.resize(podsMax + modelsMax)
      }
    }
  })
)

/** The numbers, and who counts the crashes of actors among them. */
export const layer: Layer.Layer<ActorWatch | Telemetry, never, GatewayConfig> = Layer.provideMerge(
  Layer.effect(ActorWatch, Telemetry),
  numbers
)

/** Between two looks at how late the event loop is. */
const LAG_PROBE_MS = 100

/** A line of the log for each code of an error that clients are told, so often. */
const REFUSAL_LINES_EVERY = "1 minute"

/** Errors that clients are told, in the log. What was kept back when the scope ends is told then. */
const followRefusals = Effect.gen(function*() {
  const run = Runtime.runFork(yield* Effect.runtime())
  const { refused, tick } = makeRefusalLog({
    info: (line) => void run(Effect.logInfo(line)),
    warn: (line) => void run(Effect.logWarning(line))
  })
  const telling = Effect.sync(tick)
  yield* Effect.addFinalizer(() => telling)
  yield* Effect.forkScoped(Effect.schedule(telling, Schedule.spaced(REFUSAL_LINES_EVERY)))
  return refused
})
