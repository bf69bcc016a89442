import type { TlsPair } from "./TlsPair.ts"

/** What a request needs of Bun's server. */
export interface ClientServer {
  readonly requestIP?: (request: Request) => { readonly address: string } | null
  /** Seconds of silence after which the connection of this request is closed; 0: never. */
  readonly timeout?: (request: Request, seconds: number) => void
}

/** How the front is served, whatever lies before it. */
export interface ClientServing {
  readonly hostname: string
  readonly port: number
  readonly reusePort: boolean
  readonly idleTimeoutS: number
  /** Longest time in which a client takes nothing of what is left for it. */
  readonly stallTimeoutMs: () => number
  readonly fetch: (request: Request, server: ClientServer) => Response | Promise<Response>
}

/** Where clients connect. */
export interface ClientListener {
  readonly url: string
  readonly port: number
  /** Requests whose last byte is not with the kernel yet. */
  readonly pendingRequests: () => number
  /** Takes no more connections; open requests go on unless `force`. */
  readonly stop: (force: boolean) => Promise<void>
  /** New connections get this certificate, open ones keep theirs. Throws when it is none, or nothing is encrypted. */
  readonly replaceTls: (pair: TlsPair) => void
}

/** Bun would refuse with a bare 413, by a bound that can't change; `readBody` refuses with ours before it reads more. */
export const anyBodySize = Number.MAX_SAFE_INTEGER

/** Throws when the port is taken or the host is not ours. */
export const startBunServer = (
  { fetch, hostname, idleTimeoutS, port, reusePort }: ClientServing,
  tls?: TlsPair
): Bun.Server<undefined> =>
  Bun.serve({
    hostname,
    port,
    reusePort,
    ...(tls === undefined ? {} : { tls: { cert: tls.cert, key: tls.key } }),
    // Also the time for all headers of a request, however slowly they drip, but for a connection's first, which have
    // Bun's own 10 s, and for what comes of its steps of 4 s. While a request is open its exchange takes
    // the timeout off, a model may think for minutes.
    idleTimeout: idleTimeoutS,
    development: false,
    maxRequestBodySize: anyBodySize,
    fetch
  })

export const listenPlain = (serving: ClientServing): ClientListener => {
  const server = startBunServer(serving)
  return {
    url: server.url.origin,
    port: server.port ?? serving.port,
    pendingRequests: () => server.pendingRequests,
    stop: (force) => server.stop(force),
    replaceTls: () => {
      throw new Error("clients are served without TLS")
    }
  }
}
