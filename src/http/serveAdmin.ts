import { type AdminDeps, makeAdmin } from "./adminRoutes.ts"
import { anyBodySize } from "./doors/ClientListener.ts"
import type { ListenOptions } from "./FrontOptions.ts"

/** A listening admin server. */
export interface AdminServer {
  readonly url: string
  readonly stop: () => Promise<void>
}

/** Starts to listen. Throws when the port is taken or the host is not ours. */
export const serveAdmin = (
  { hostname, port }: Pick<ListenOptions, "hostname" | "port">,
  deps: AdminDeps
): AdminServer => {
  const app = makeAdmin(deps)
  const server = Bun.serve({
    hostname,
    port,
    // Without a word Bun shares the port, and each of two gateways would get some of the operators' questions.
    reusePort: false,
    development: false,
    maxRequestBodySize: anyBodySize,
    fetch: (request) => app.fetch(request)
  })
  return { url: server.url.origin, stop: () => server.stop(true) }
}
