import http2, {
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream
} from "node:http2"
import type { AddressInfo } from "node:net"
import { EnvoyExchange } from "./EnvoyExchange.ts"
import type { ExtProcDeps, ExtProcListen, ExtProcOptions } from "./ExtProcOptions.ts"
import { GrpcCall } from "./grpc/GrpcCall.ts"
import { grpcMessage, grpcStatus } from "./grpc/grpcStatus.ts"
import { extProcService, HealthCheck, healthCheckPath } from "./healthService.ts"
import { Picker } from "./Picker.ts"

/** A listening endpoint picker. */
export interface ExtProcServer {
  readonly port: number
  /** Undefined: health checks have no port of their own. */
  readonly healthPort: number | undefined
  /** Requests that Envoy has not ended. */
  readonly openRequests: () => number
  /** For streams that are opened from now on; connections are asked whether they live as often as it says. */
  readonly replaceOptions: (options: ExtProcOptions) => void
  /** Not ready from now on, but still picking: proxies have time to look elsewhere. */
  readonly announceStop: () => void
  /**
   * Not ready from now on; takes no new connection, lets open calls end for `graceMs`, then ends what is left, and tells
   * how many those were. Called again it can only shorten the time.
   */
  readonly stop: (graceMs: number) => Promise<number>
}

/** Asks the other side of a connection so often whether it lives. */
interface KeepAlive {
  readonly ask: (everyMs: number) => void
  readonly stop: () => void
}

type Sessions = Map<ServerHttp2Session, KeepAlive>

const processPath = `/${extProcService}/Process`
const drainPollMs = 5
/** So long Envoy has to take what ended its calls. */
const flushMs = 1_000
/** Above our own limit, so that a client gets 429 and Envoy no broken stream. */
const refusableStreams = 1000
const streamsMaxOf = ({ openStreamsMax }: ExtProcOptions): number => openStreamsMax + refusableStreams
/** Room for a body's pieces on their way, so that Envoy need not wait for our window. */
const streamWindowBytes = 1024 * 1024
/** Envoy resets a stream after its last message; Bun takes more than 33 a second for an attack unless told otherwise. */
const resetsAreFine = { streamResetBurst: 0xffff_ffff, streamResetRate: 0xffff_ffff }

/** Starts to listen. Rejects when a port is taken or the host is not ours. */
export const serveExtProc = async (listen: ExtProcListen, deps: ExtProcDeps): Promise<ExtProcServer> => {
  const picker = new Picker(deps)
  const sessions: Sessions = new Map()
  const settings = {
    settings: { maxConcurrentStreams: streamsMaxOf(deps.options), initialWindowSize: streamWindowBytes },
    ...resetsAreFine
  }
  const main = listen.tls === undefined
    ? http2.createServer(settings)
    : http2.createSecureServer({ ...settings, ...listen.tls, allowHTTP1: false })
  attach(main, picker, sessions, true)
  const port = await startListening(main, listen.hostname, listen.port)
  const servers: Array<Http2Server | Http2SecureServer> = [main]
  let healthPort: number | undefined
  if (listen.healthPort !== undefined) {
    const health = http2.createServer(settings)
    attach(health, picker, sessions, false)
    try {
      healthPort = await startListening(health, listen.hostname, listen.healthPort)
    } catch (cause) {
      main.close()
      throw cause
    }
    servers.push(health)
  }
  let deadlineMs = Infinity
  return {
    port,
    healthPort,
    openRequests: () => picker.openRequests,
    replaceOptions: (options) => {
      picker.deps = { ...picker.deps, options }
      for (const [session, lives] of sessions) {
        lives.ask(options.pingEveryMs)
        if (!session.destroyed) session.settings({ maxConcurrentStreams: streamsMaxOf(options) })
      }
    },
    announceStop: () => {
      picker.draining = true
    },
    stop: (graceMs) => {
      deadlineMs = Math.min(deadlineMs, performance.now() + graceMs)
      return stop(picker, servers, sessions, () => deadlineMs)
    }
  }
}

const attach = (
  server: Http2Server | Http2SecureServer,
  picker: Picker,
  sessions: Sessions,
  picks: boolean
): void => {
  server.on("session", (session: ServerHttp2Session) => {
    const { options } = picker.deps
    const lives = keepAlive(session)
    lives.ask(options.pingEveryMs)
    sessions.set(session, lives)
    // What the server was made with is of its start.
    session.settings({ maxConcurrentStreams: streamsMaxOf(options) })
    session.on("error", ignored)
    session.on("close", () => {
      lives.stop()
      sessions.delete(session)
    })
  })
  server.on("sessionError", ignored)
  server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    const path = headers[":path"]
    const { log, options } = picker.deps
    const call = new GrpcCall(stream, options.messageBytesMax)
    if (picks && path === processPath) call.serve(new EnvoyExchange(picker, call), log)
    else if (path === healthCheckPath) call.serve(new HealthCheck(picker, call), log)
    else refuseCall(stream, `there is no method ${String(path)} here`)
  })
}

const refuseCall = (stream: ServerHttp2Stream, message: string): void => {
  stream.respond({
    ":status": 200,
    "content-type": "application/grpc",
    "grpc-status": String(grpcStatus.unimplemented),
    "grpc-message": grpcMessage(message)
  }, { endStream: true })
}

/** A proxy whose machine is gone says nothing any more; its streams hold reservations until the connection is cut. */
const keepAlive = (session: ServerHttp2Session): KeepAlive => {
  let unanswered = false
  let pinging: ReturnType<typeof setInterval> | undefined
  const ping = (): void => {
    if (unanswered || session.destroyed) return session.destroy()
    unanswered = true
    session.ping((error) => {
      if (error === null) unanswered = false
    })
  }
  return {
    ask: (everyMs) => {
      clearInterval(pinging)
      pinging = setInterval(ping, everyMs)
    },
    stop: () => clearInterval(pinging)
  }
}

const startListening = (server: Http2Server | Http2SecureServer, hostname: string, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once("error", reject)
    server.listen(port, hostname, () => {
      server.off("error", reject)
      server.on("error", ignored)
      resolve((server.address() as AddressInfo).port)
    })
  })

const stop = async (
  picker: Picker,
  servers: ReadonlyArray<Http2Server | Http2SecureServer>,
  sessions: Sessions,
  deadlineMs: () => number
): Promise<number> => {
  picker.draining = true
  for (const server of servers) server.close()
  // Tells the proxies to open no further streams here; those that are open go on.
  for (const session of sessions.keys()) session.close()
  while (picker.openRequests > 0 && performance.now() < deadlineMs()) await Bun.sleep(drainPollMs)
  const ended = picker.endOpenRequests()
  const flushedByMs = performance.now() + flushMs
  // A call is gone when its last frame is on its way.
  while (picker.openRequests > 0 && performance.now() < flushedByMs) await Bun.sleep(drainPollMs)
  for (const session of sessions.keys()) session.destroy()
  return ended
}

/** What breaks a connection also closes it, which is where it is dealt with. */
const ignored = (): void => {}
