import http2, {
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream
} from "node:http2"
import type { AddressInfo } from "node:net"
import { EnvoyExchange } from "./EnvoyExchange.ts"
import type { ExtProcDeps, ExtProcListen } from "./ExtProcOptions.ts"
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
  /** Not ready from now on, but still picking: proxies have time to look elsewhere. */
  readonly announceStop: () => void
  /** Not ready from now on; takes no new connection, lets open streams end for `graceMs`, then cuts what is left. */
  readonly stop: (graceMs: number) => Promise<void>
}

const processPath = `/${extProcService}/Process`
const drainPollMs = 5
/** Above our own limit, so that a client gets 429 and Envoy no broken stream. */
const refusableStreams = 1000
/** Room for a body's pieces on their way, so that Envoy need not wait for our window. */
const streamWindowBytes = 1024 * 1024
/** Envoy resets a stream after its last message; Bun takes more than 33 a second for an attack unless told otherwise. */
const resetsAreFine = { streamResetBurst: 0xffff_ffff, streamResetRate: 0xffff_ffff }

/** Starts to listen. Rejects when a port is taken or the host is not ours. */
export const serveExtProc = async (listen: ExtProcListen, deps: ExtProcDeps): Promise<ExtProcServer> => {
  const picker = new Picker(deps)
  const sessions = new Set<ServerHttp2Session>()
  const settings = {
    settings: {
      maxConcurrentStreams: deps.options.openStreamsMax + refusableStreams,
      initialWindowSize: streamWindowBytes
    },
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
  return {
    port,
    healthPort,
    openRequests: () => picker.openRequests,
    announceStop: () => {
      picker.draining = true
    },
    stop: (graceMs) => stop(picker, servers, sessions, graceMs)
  }
}

const attach = (
  server: Http2Server | Http2SecureServer,
  picker: Picker,
  sessions: Set<ServerHttp2Session>,
  picks: boolean
): void => {
  const { options, log } = picker.deps
  server.on("session", (session: ServerHttp2Session) => {
    sessions.add(session)
    const pinging = keepAlive(session, options.pingEveryMs)
    session.on("error", ignored)
    session.on("close", () => {
      clearInterval(pinging)
      sessions.delete(session)
    })
  })
  server.on("sessionError", ignored)
  server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    const path = headers[":path"]
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
const keepAlive = (session: ServerHttp2Session, everyMs: number): ReturnType<typeof setInterval> => {
  let unanswered = false
  return setInterval(() => {
    if (unanswered || session.destroyed) return session.destroy()
    unanswered = true
    session.ping((error) => {
      if (error === null) unanswered = false
    })
  }, everyMs)
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
  sessions: ReadonlySet<ServerHttp2Session>,
  graceMs: number
): Promise<void> => {
  picker.draining = true
  for (const server of servers) server.close()
  // Tells the proxies to open no further streams here; those that are open go on.
  for (const session of sessions) session.close()
  const deadlineMs = performance.now() + graceMs
  while (picker.openRequests > 0 && performance.now() < deadlineMs) await Bun.sleep(drainPollMs)
  for (const session of sessions) session.destroy()
}

/** What breaks a connection also closes it, which is where it is dealt with. */
const ignored = (): void => {}
