import { Duration, Effect, type Scope } from "effect"
import { readFileSync } from "node:fs"
import { isIP } from "node:net"
import type { ExtProcDeps, ExtProcOptions, PickerTls } from "../../src/extproc/ExtProcOptions.ts"
import { selfSignedTls } from "../../src/extproc/selfSignedTls.ts"
import { type ExtProcServer, serveExtProc } from "../../src/extproc/serveExtProc.ts"
import type { GatewayConfig } from "../GatewayConfig.ts"
import { GatewayStartError } from "../GatewayStartError.ts"
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
    const tls = yield* Effect.try({ try: () => tlsOf(extproc), catch: (cause) => badTls(cause) })
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

const tlsOf = ({ certPath, keyPath, tls }: GatewayConfig["extproc"]): PickerTls | undefined => {
  if (tls === "self-signed") return selfSignedTls(SELF_SIGNED_NAMES, Date.now())
  if (certPath === undefined || keyPath === undefined) return undefined
  return { cert: readFileSync(certPath, "utf8"), key: readFileSync(keyPath, "utf8") }
}

const whyOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

const badTls = (cause: unknown) =>
  new GatewayStartError({ message: `extproc.certPath and extproc.keyPath can't be used: ${whyOf(cause)}` })

const cannotListen = (
  { hostname, port }: { readonly hostname: string; readonly port: number },
  healthPort: number | undefined,
  cause: unknown
) => {
  const health = healthPort === undefined ? "" : ` with health checks on port ${healthPort}`
  return new GatewayStartError({
    message: `can't listen for Envoy on ${hostname}:${port}${health} (${whyOf(cause)}); ` +
      "stop what has the port, or take another: extproc.listen.port, extproc.healthPort"
  })
}
