import { Console, Duration, Effect, Either, type Scope } from "effect"
import type { ConfigError } from "../../config/ConfigError.ts"
import type { GatewayHandle } from "../../config/Gateway.ts"
import type { GatewayConfig } from "../../config/GatewayConfig.ts"
import { layer as logLayer } from "../../config/layers/log.ts"
import { type ConfigSources, loadConfig, type LoadedConfig } from "../../config/loadConfig.ts"
import { decodeConfig } from "../../config/decodeConfig.ts"
import { announcePods, startText } from "./banner.ts"
import { emulatedFleet } from "./emulatedFleet.ts"
import { CommandFailure } from "./failure.ts"
import { reloadSignal } from "./reloadSignal.ts"
import { type StopSignal, type StopSignals, stopSignals } from "./stopSignals.ts"

/** Serves until a signal comes, then lets requests end and writes the last snapshot. */
export const serve = (sources: ConfigSources): Effect.Effect<void, CommandFailure> =>
  Effect.gen(function*() {
    const loaded = yield* Effect.mapError(loadConfig(sources), cannotStart)
    const { log } = loaded.config
    yield* Effect.scoped(untilStopped(sources, loaded)).pipe(
      Effect.zipRight(Effect.logInfo("warmroute has stopped")),
      Effect.catchIf(
        ({ isLogged }) => log.format === "json" && isLogged !== true,
        ({ message }) => Effect.zipRight(Effect.logError(message), new CommandFailure({ message, isLogged: true }))
      ),
      Effect.provide(logLayer(log))
    )
  })

/** What an operator reads at the start: as it is in a terminal, and a line of the log each where machines read it. */
const say = ({ log }: GatewayConfig) => (text: string): Effect.Effect<void> =>
  log.format === "text"
    ? Console.log(text)
    : Effect.forEach(linesOf(text), (line) => Effect.logInfo(line), { discard: true })

const linesOf = (text: string): ReadonlyArray<string> =>
  text.split("\n").map((line) => line.trim().replace(/ {2,}/g, " ")).filter((line) => line !== "")

const cannotStart = (error: ConfigError): CommandFailure =>
  new CommandFailure({ message: `warmroute can't start: ${error.render()}` })

const untilStopped = (
  sources: ConfigSources,
  { config: written, configPath, warnings }: LoadedConfig
): Effect.Effect<void, CommandFailure, Scope.Scope> =>
  Effect.gen(function*() {
    const signals = yield* stopSignals(3)
    const onReloadSignal = yield* reloadSignal
    yield* Effect.forEach(warnings, (warning) => Effect.logWarning(warning), { discard: true })
    const emulated = hasPods(written) ? undefined : yield* emulatedFleet({
      ...written.emulator,
      hostname: "127.0.0.1",
      basePort: 0
    })
    const completed = (config: GatewayConfig): Effect.Effect<GatewayConfig, ConfigError> =>
      emulated === undefined || hasPods(config) ? Effect.succeed(config) : withEmulated(config, emulated)
    const config = yield* Effect.mapError(completed(written), cannotStart)
    // Loaded here so that help, version and a wrong configuration answer at once.
    const { startGateway } = yield* Effect.promise(() => import("../../config/Gateway.ts"))
    const gateway = yield* startGateway(config, {
      path: configPath,
      read: Effect.gen(function*() {
        const { config, warnings } = yield* loadConfig(sources)
        const noPods = emulated === undefined && !hasPods(config) ? [NO_PODS] : []
        return { config: yield* completed(config), warnings: [...warnings, ...noPods] }
      })
    }).pipe(
      Effect.mapError(({ message }) => new CommandFailure({ message: `warmroute can't start: ${message}` }))
    )
    // How a reload went is in the log.
    onReloadSignal(() => void gateway.reload().catch(() => {}))
    yield* say(config)(startText(config, gateway, emulated !== undefined))
    yield* Effect.forkScoped(Effect.flatMap(announcePods(config, gateway, emulated !== undefined), say(config)))
    const end = yield* Effect.either(Effect.raceFirst(signals.first, gateway.failed))
    onReloadSignal(() => {})
    if (Either.isRight(end)) return yield* stop(gateway, end.right, signals.second)
    const { actor, reason } = end.left
    const message = `warmroute has to stop, its ${actor} actor is beyond recovery: ${reason}`
    yield* Effect.logError(message)
    yield* drain(gateway, "a defect", Effect.raceFirst(signals.first, signals.second))
    return yield* new CommandFailure({ message, isLogged: true })
  })

const NO_PODS = "no pod is configured any more; emulated ones come with a start only"

/** Ctrl-C waits for no load balancer, SIGTERM does: what it has sent, or sends before it has noticed, is still served. */
const stop = (
  gateway: GatewayHandle,
  signal: StopSignal,
  second: StopSignals["second"]
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { shutdownDelay } = gateway.config().limits
    // The terminal has its ^C where the next line would begin.
    if (signal === "SIGINT" && process.stderr.isTTY) yield* Console.error("")
    yield* gateway.announceStop
    if (signal === "SIGTERM") {
      const delay = Duration.format(shutdownDelay)
      yield* Effect.logInfo(`SIGTERM: /readyz is 503 from now on; new requests are taken for ${delay} more`)
      yield* Effect.raceFirst(Effect.sleep(shutdownDelay), second)
    }
    yield* drain(gateway, signal, second)
  })

const drain = (
  gateway: GatewayHandle,
  why: StopSignal | "a defect",
  atOnce: StopSignals["second"]
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { shutdownGrace } = gateway.config().limits
    yield* gateway.announceStop
    yield* Effect.logInfo(stopText(why, gateway.openRequests(), shutdownGrace))
    yield* Effect.forkScoped(endAtOnce(gateway, atOnce))
    yield* gateway.drain(Duration.toMillis(shutdownGrace))
  })

/** Whoever signals twice does not want to wait for requests, but for their good end and for the snapshot. */
const endAtOnce = (gateway: GatewayHandle, second: StopSignals["second"]): Effect.Effect<void> =>
  Effect.gen(function*() {
    const signal = yield* second
    yield* Effect.logInfo(`${signal} again: open requests end now, a third ends the process as it is`)
    yield* gateway.drain(0)
  })

const hasPods = ({ discovery, pods }: GatewayConfig): boolean =>
  pods.length > 0 || discovery.file !== undefined || discovery.dns !== undefined || discovery.kubernetes !== undefined

/** Their ports differ at each start, so there would be nothing to restore: no snapshot. */
const withEmulated = (
  config: GatewayConfig,
  urls: ReadonlyArray<string>
): Effect.Effect<GatewayConfig, ConfigError> =>
  Effect.map(
    decodeConfig([{ name: "emulator", values: { pods: urls, hardware: config.emulator.hardware } }]),
    ({ hardware, pods }) => ({ ...config, pods, hardware, snapshot: { ...config.snapshot, enabled: false } })
  )

const stopText = (why: StopSignal | "a defect", openRequests: number, shutdownGrace: Duration.Duration): string => {
  const grace = Duration.format(shutdownGrace)
  const open = openRequests === 0
    ? "no request is open"
    : `${openRequests} open ${openRequests === 1 ? "request has" : "requests have"} ${grace} to end`
  const again = why === "SIGTERM" ? why : "Ctrl-C"
  return `${why}: no new requests, ${open}${openRequests === 0 ? "" : `; ${again} again ends them at once`}`
}
