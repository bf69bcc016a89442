import { Effect } from "effect"
import { listenFault } from "../../src/core/networkWords.ts"
import type { AdminDeps } from "../../src/http/adminRoutes.ts"
import type { TlsPair } from "../../src/http/doors/TlsPair.ts"
import type { FrontDeps } from "../../src/http/FrontOptions.ts"
import { serveAdmin } from "../../src/http/serveAdmin.ts"
import { serveFront } from "../../src/http/serveFront.ts"
import type { GatewayConfig } from "../GatewayConfig.ts"
import { GatewayStartError } from "../GatewayStartError.ts"
import { stopFront } from "./stopListening.ts"

/** Serves clients for as long as the scope is open; whoever closes it has given their requests time to end before. */
export const listenForClients = (config: GatewayConfig, tls: TlsPair | undefined, deps: FrontDeps) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => serveFront({ hostname: config.listen.hostname, port: config.listen.port, tls }, deps),
      catch: (cause) => cannotListen(config, cause)
    }),
    (server) => stopFront(server, 0)
  )

/** Operators' questions in hand at once. */
const OPERATORS_MAX = 16

/** Undefined when the operators' port is off. */
export const listenForOperators = (
  config: GatewayConfig,
  deps: Omit<AdminDeps, "openMax">
) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => config.admin.enabled ? serveAdmin(config.admin, { ...deps, openMax: OPERATORS_MAX }) : undefined,
      catch: (cause) => noOperators(config, cause)
    }),
    (server) => Effect.promise(async () => server?.stop())
  )

const cannotListen = ({ listen: { hostname, port } }: GatewayConfig, cause: unknown): GatewayStartError => {
  const { change, why } = listenFault(cause)
  const advice = change === "port"
    ? "free it or take another: --port, listen.port"
    : "take one that it has, or 0.0.0.0 for all: --listen, listen.hostname"
  return new GatewayStartError({ message: `can't listen on ${hostname}:${port} (${why}); ${advice}` })
}

const noOperators = ({ admin: { hostname, port } }: GatewayConfig, cause: unknown): GatewayStartError => {
  const { change, why } = listenFault(cause)
  const advice = change === "port"
    ? "take another port with admin.port (WARMROUTE_ADMIN_PORT; 0: any free one)"
    : "take another address with admin.hostname (WARMROUTE_ADMIN_HOSTNAME)"
  return new GatewayStartError({
    message: `can't listen for operators on ${hostname}:${port} (${why}); ${advice}, or set admin.enabled to false`
  })
}
