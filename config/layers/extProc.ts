import { Duration, Effect, type Scope } from "effect"
import { isIP } from "node:net"
import { listenFault } from "../../src/core/networkWords.ts"
import type { ExtProcDeps, ExtProcOptions, PickerTls } from "../../src/extproc/ExtProcOptions.ts"
import { selfSignedTls } from "../../src/extproc/selfSignedTls.ts"
import { type ExtProcServer, serveExtProc } from "../../src/extproc/serveExtProc.ts"
import type { GatewayConfig } from "../GatewayConfig.ts"
import { GatewayStartError } from "../GatewayStartError.ts"
import { readPair } from "../secretFiles.ts"
import { stopPicker } from "./stopListening.ts"

/** Answers Envoy for as long as the scope is open; undefined when no picker is wanted. */
export const listenForEnvoy = (
  config: GatewayConfig,
  deps: Omit<ExtProcDeps, "options">
): Effect.Effect<ExtProcServer | undefined, GatewayStartError, Scope.Scope> =>
  Effect.gen(function*() {
    const { extproc, pods } = config
    const { listen } = extproc
    if (listen === undefined) return undefined
    const named = pods.filter(({ hostname }) => isIP(hostname) === 0).map(({ id }) => id)
    if (named.length > 0) yield* Effect.logWarning(`Envoy reaches pods by IP address only, so not ${named.join(", ")}`)
    const tls = yield* Effect.tryPromise({ try: () => tlsOf(extproc), catch: badTls })
    return yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: () =>
          serveExtProc({ ...listen, tls, healthPort: extproc.healthPort }, {
            ...deps,
            options: extProcOptions(config)
          }),
        catch: (cause) => cannotListen(listen, extproc.healthPort, cause)
      }),
      (server) => stopPicker(server, 0)
    )
  })

export const extProcOptions = ({ extproc }: GatewayConfig): ExtProcOptions => ({
  fallbacks: extproc.fallbacks,
  messageBytesMax: extproc.messageBytesMax,
  openStreamsMax: extproc.openStreamsMax,
  pingEveryMs: Duration.toMillis(extproc.pingEvery),
  healthService: extproc.healthService ?? ""
})

const SELF_SIGNED_NAMES = ["warmroute", "localhost"]

const tlsOf = async ({ certPath, keyPath, tls }: GatewayConfig["extproc"]): Promise<PickerTls | undefined> => {
  if (tls === "self-signed") return selfSignedTls(SELF_SIGNED_NAMES, Date.now())
  if (certPath === undefined || keyPath === undefined) return undefined
  return readPair("extproc.certPath", certPath, "extproc.keyPath", keyPath)
}

const badTls = (cause: unknown) =>
  new GatewayStartError({ message: cause instanceof Error ? cause.message : String(cause) })

const cannotListen = (
  { hostname, port }: { readonly hostname: string; readonly port: number },
  healthPort: number | undefined,
  cause: unknown
) => {
  const health = healthPort === undefined ? "" : ` with health checks on port ${healthPort}`
  const { change, why } = listenFault(cause)
  const advice = change === "port"
    ? "free it or take another: extproc.listen.port, extproc.healthPort"
    : "take one that it has, or 0.0.0.0 for all: extproc.listen.hostname"
  return new GatewayStartError({
    message: `can't listen for Envoy on ${hostname}:${port}${health} (${why}); ${advice}`
  })
}
