import { Console, Duration, Effect, type Scope } from "effect"
import type { ConfigError } from "../../config/ConfigError.ts"
import { type GatewayConfig } from "../../config/GatewayConfig.ts"
import { layer as logLayer } from "../../config/layers/log.ts"
import { type ConfigSources, loadConfig } from "../../config/loadConfig.ts"
import { decodeConfig } from "../../config/decodeConfig.ts"
import { announcePods, startText } from "./banner.ts"
import { emulatedFleet } from "./emulatedFleet.ts"
import { CommandFailure } from "./failure.ts"
import { type StopSignal, stopSignals } from "./stopSignals.ts"

/** Serves until a signal comes, then lets requests end and writes the last snapshot. */
export const serve = (sources: ConfigSources): Effect.Effect<void, CommandFailure> =>
  Effect.gen(function*() {
    const loaded = yield* Effect.mapError(loadConfig(sources), cannotStart)
    const run = Effect.scoped(untilStopped(loaded.config, loaded.warnings))
    yield* Effect.provide(run, logLayer(loaded.config.log))
    yield* Console.log("warmroute has stopped.")
  })

const cannotStart = (error: ConfigError): CommandFailure =>
  new CommandFailure({ message: `warmroute can't start: ${error.render()}` })

const untilStopped = (
  written: GatewayConfig,
  warnings: ReadonlyArray<string>
): Effect.Effect<void, CommandFailure, Scope.Scope> =>
  Effect.gen(function*() {
    const stopSignal = yield* stopSignals
    yield* Effect.forEach(warnings, (warning) => Effect.logWarning(warning), { discard: true })
    const emulated = hasPods(written) ? undefined : yield* emulatedFleet({
      ...written.emulator,
      hostname: "127.0.0.1",
      basePort: 0
    })
    const config = emulated === undefined ? written : yield* withEmulated(written, emulated)
    // Loaded here so that help, version and a wrong configuration answer at once.
    const { startGateway } = yield* Effect.promise(() => import("../../config/Gateway.ts"))
    const gateway = yield* startGateway(config).pipe(
      Effect.mapError(({ message }) => new CommandFailure({ message: `warmroute can't start: ${message}` }))
    )
    yield* Console.log(startText(config, gateway, emulated !== undefined))
    yield* Effect.forkScoped(announcePods(config, gateway, emulated !== undefined))
    const signal = yield* Effect.raceFirst(stopSignal, gateway.failed).pipe(
      Effect.mapError(({ reason }) => new CommandFailure({ message: `warmroute has to stop: ${reason}` }))
    )
    yield* Console.log(stopText(signal, gateway.openRequests(), config))
    yield* gateway.drain(Duration.toMillis(config.limits.shutdownGrace))
  })

const hasPods = ({ discovery, pods }: GatewayConfig): boolean =>
  pods.length > 0 || discovery.file !== undefined || discovery.dns !== undefined

/** Their ports differ at each start, so there would be nothing to restore: no snapshot. */
const withEmulated = (
  config: GatewayConfig,
  urls: ReadonlyArray<string>
): Effect.Effect<GatewayConfig, CommandFailure> =>
  Effect.map(
    Effect.mapError(
      decodeConfig([{ name: "emulator", values: { pods: urls, hardware: config.emulator.hardware } }]),
      cannotStart
    ),
    ({ hardware, pods }) => ({ ...config, pods, hardware, snapshot: { ...config.snapshot, enabled: false } })
  )

const stopText = (signal: StopSignal, openRequests: number, { limits }: GatewayConfig): string => {
  const grace = Duration.format(limits.shutdownGrace)
  const open = openRequests === 0
    ? "no request is open"
    : `${openRequests} open ${openRequests === 1 ? "request has" : "requests have"} ${grace} to end`
  return `\n${signal}: no new requests, ${open}. ${signal === "SIGINT" ? "Ctrl-C again ends it at once." : ""}`
    .trimEnd()
}
