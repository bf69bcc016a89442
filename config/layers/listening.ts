import { Effect } from "effect"
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
  { admin: listen }: GatewayConfig,
  deps: Omit<AdminDeps, "openMax">
) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => listen.enabled ? serveAdmin(listen, { ...deps, openMax: OPERATORS_MAX }) : undefined,
      catch: (cause) =>
        new GatewayStartError({
          message: `can't listen for operators on ${listen.hostname}:${listen.port} (${whyOf(cause)}); ` +
            "take another port with admin.port (WARMROUTE_ADMIN_PORT; 0: any free one), or set admin.enabled to false"
        })
    }),
    (server) => Effect.promise(async () => server?.stop())
  )

const whyOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

const cannotListen = ({ listen: { hostname, port } }: GatewayConfig, cause: unknown): GatewayStartError => {
  return new GatewayStartError({
    message: `can't listen on ${hostname}:${port} (${
      whyOf(cause)
    }); stop what has the port, or take another: --port, listen.port`
  })
}
