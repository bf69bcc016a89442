import type { RequestFeatures } from "../core/RequestFeatures.ts"
import { type ClientServing, listenPlain } from "./doors/ClientListener.ts"
import { listenTls } from "./doors/listenTls.ts"
import type { TlsPair } from "./doors/TlsPair.ts"
import { readRequest } from "./features/readRequest.ts"
import { requestWish } from "./features/requestWish.ts"
import { Front } from "./Front.ts"
import { FrontStop, type StoppedRequests } from "./FrontStop.ts"
import type { FrontDeps, FrontSettings, ListenOptions } from "./FrontOptions.ts"
import { hostRefusal, makeFront } from "./makeFront.ts"
import type { ProxyRoute } from "./routes.ts"

/** A listening front end. */
export interface FrontServer {
  readonly url: string
  readonly port: number
  /** What a pick would need of a request with this body, read with what the front learned. Throws BadRequest. */
  readonly readFeatures: (route: ProxyRoute, headers: Headers, bytes: Uint8Array) => RequestFeatures
  /** What another front end of this process shares: the options in force, the room for bodies, what prompts taught. */
  readonly shared: Pick<Front, "deps" | "requestBytes" | "workshop">
  /** Bytes that open requests hold: their bodies in memory and on disk, and what streams keep to be rescued. */
  readonly heldBytes: () => { readonly memory: number; readonly disk: number; readonly rescue: number }
  /** Proxied requests that have not ended. */
  readonly openRequests: () => number
  /** New connections get this certificate. Throws when it is none, or the front is served without TLS. */
  readonly replaceTls: (pair: TlsPair) => void
  /** For requests that come from now on; those that are open keep theirs. */
  readonly replaceSettings: (settings: FrontSettings) => void
  /** Not ready any more, but still serving: each connection ends with its next answer. */
  readonly announceStop: () => void
  /** A stop has been announced, or has begun. */
  readonly stopping: () => boolean
  /**
   * Refuses new connections, lets open requests end for `graceMs`, then ends what is left with an error. Called again it
   * can only shorten the time; all calls resolve when all is over, and the first tells what was left.
   */
  readonly stop: (graceMs: number) => Promise<StoppedRequests>
}

/** Starts to listen. Throws when the port is taken or the host is not ours. */
export const serveFront = (listen: ListenOptions, deps: FrontDeps): FrontServer => {
  const front = new Front(deps)
  front.spoolFolder.clean().catch((cause: unknown) => deps.log("old request bodies could not be removed", cause))
  const app = makeFront(front)
  const startedIdleS = deps.options.clientIdleTimeoutS
  const serving: ClientServing = {
    hostname: listen.hostname,
    port: listen.port,
    reusePort: listen.reusePort ?? false,
    idleTimeoutS: startedIdleS,
    stallTimeoutMs: () => front.deps.options.clientStallTimeoutMs,
    fetch: (request, server) => {
      const { clientIdleTimeoutS } = front.deps.options
      // Bun takes its own at the start only; an exchange sets the one of now when it ends.
      if (clientIdleTimeoutS !== startedIdleS) server.timeout?.(request, clientIdleTimeoutS)
      const answer = hostRefusal(front, request) ??
        app.fetch(request.method === "HEAD" ? asGet(request) : request, server)
      return front.draining ? lastOfConnection(answer) : answer
    }
  }
  const listener = listen.tls === undefined ? listenPlain(serving) : listenTls(serving, listen.tls)
  const stop = new FrontStop(front, listener)
  return {
    url: listener.url,
    port: listener.port,
    replaceTls: listener.replaceTls,
    readFeatures: (route, headers, bytes) => {
      const { options } = front.deps
      const { features } = readRequest(route, headers, bytes, options, front.workshop)
      features.wish = requestWish(headers, bytes.length, undefined, options.wishes)
      return features
    },
    shared: front,
    heldBytes: () => ({
      memory: front.requestBytes.heldBytes,
      disk: front.spooledBytes.heldBytes,
      rescue: front.rescueBytes.heldBytes
    }),
    openRequests: () => front.openRequests,
    replaceSettings: (settings) => front.replaceSettings(settings),
    announceStop: () => {
      front.draining = true
    },
    stopping: () => front.draining,
    stop: (graceMs) => stop.within(graceMs)
  }
}

/** Hono would answer HEAD without the body, and so with its length as 0; Bun leaves the body out and tells its length. */
const asGet = (request: Request): Request =>
  new Request(new URL(request.url, "http://host"), { headers: request.headers })

/** Tells the client to come back over another connection, and so to another gateway. */
const lastOfConnection = async (answer: Response | Promise<Response>): Promise<Response> => {
  const response = await answer
  response.headers.set("connection", "close")
  return response
}
