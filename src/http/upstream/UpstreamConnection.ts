import type { Socket } from "bun"
import { networkWords } from "../../core/networkWords.ts"
import type { PodPool } from "./PodPool.ts"
import { RequestWriter } from "./RequestWriter.ts"
import { ResponseParser, type ResponseSink } from "./ResponseParser.ts"
import type { UpstreamCall } from "./UpstreamCall.ts"
import type { ResponseHead, UpstreamErrorKind } from "./UpstreamRequest.ts"

/**
 * One socket to a pod: connecting → (busy ⇄ idle) → closed.
 * It writes the request, feeds the parser and tells the call in hand how its exchange went.
 */
export class UpstreamConnection implements ResponseSink {
  /** The exchange in hand; none while idle, or when its call was given up during the connect. */
  call: UpstreamCall | undefined
  idleSinceMs = 0

  private readonly pool: PodPool
  private readonly parser: ResponseParser
  private readonly writer: RequestWriter
  private socket: Socket<UpstreamConnection> | undefined
  private isClosed = false
  private served = 0
  private deadlineMs = 0
  /** When the socket last took bytes of the request. */
  private sentMs = 0
  /** Bytes of the answer's body came since the last sweep. */
  private moved = false
  private bodyBegan = false
  private paused = false

  constructor(pool: PodPool) {
    this.pool = pool
    this.parser = new ResponseParser(pool.options, this)
    this.writer = new RequestWriter(pool.scratch, this)
  }

  /** Starts to connect for `call`. */
  connect(call: UpstreamCall, nowMs: number): void {
    const { address, options } = this.pool
    this.call = call
    call.connection = this
    this.deadlineMs = nowMs + options.connectTimeoutMs
    try {
      Bun.connect<UpstreamConnection>({
        hostname: address.hostname,
        port: address.port,
        data: this,
        socket: socketHandlers,
        // Bun takes an empty object for "no TLS".
        ...(address.tls ? { tls: { rejectUnauthorized: true, ...options.access?.tls() } } : {})
      }).catch(ignore)
    } catch (cause) {
      queueMicrotask(() => this.connectFailed(cause))
    }
  }

  /** Sends a request over a socket that is open and idle. */
  begin(call: UpstreamCall, nowMs: number): void {
    this.call = call
    call.connection = this
    this.send(call, nowMs)
  }

  pause(): void {
    if (this.paused) return
    this.paused = true
    this.socket?.pause()
  }

  resume(): void {
    if (!this.paused) return
    this.paused = false
    this.moved = true
    this.pool.resumed = true
    this.socket?.resume()
  }

  /** Ends the socket at once; the call in hand hears nothing any more. */
  destroy(): void {
    this.call = undefined
    this.writer.stop()
    this.parser.stop()
    // A connect can't be called off: the socket then arrives idle, and counts against the limit until then.
    if (this.socket === undefined && !this.isClosed) return
    this.close()
  }

  /** Looks at the deadline of the phase the connection is in. */
  sweep(nowMs: number): void {
    const call = this.call
    if (call === undefined) return
    if (this.socket === undefined) {
      if (nowMs > this.deadlineMs) this.giveUp(call, "connect-timeout", "the connection was not made in time")
      return
    }
    if (this.moved || this.paused) {
      this.moved = false
      this.deadlineMs = nowMs + this.pool.options.silenceTimeoutMs
      return
    }
    if (nowMs <= this.deadlineMs) return
    if (this.bodyBegan) this.giveUp(call, "silent", "the pod fell silent inside its answer")
    else this.giveUp(call, "first-byte-timeout", "the pod did not begin to answer in time")
  }

  /** Nothing is to be expected of the pod any more. A client that reads slowly is given what is still under way. */
  lose(): void {
    if (this.call !== undefined && !this.paused) this.giveUp(this.call, "lost", "the pod is unhealthy and silent")
  }

  onHead(head: ResponseHead): void {
    this.call?.handler.onHead(head)
  }

  onData(bytes: Uint8Array): void {
    this.bodyBegan = true
    this.moved = true
    this.pool.heard = true
    this.call?.handler.onData(bytes)
  }

  /** With a reset rather than a FIN, so that a pod that never closes its side can't hold the descriptor. */
  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.pool.forget(this)
    this.socket?.terminate()
  }

  opened(socket: Socket<UpstreamConnection>): void {
    if (this.isClosed) return void socket.terminate()
    const { address, options } = this.pool
    if (address.tls && !socket.authorized && options.access?.tls().rejectUnauthorized !== false) {
      this.connectFailed(socket.getAuthorizationError() ?? "the certificate is not trusted")
      return void socket.terminate()
    }
    this.socket = socket
    socket.setNoDelay(true)
    const call = this.call
    if (call === undefined) this.pool.release(this)
    else this.send(call, this.pool.nowMs())
  }

  connectFailed(cause: unknown): void {
    if (this.isClosed || this.socket !== undefined) return
    this.isClosed = true
    this.pool.forget(this)
    const call = this.call
    this.call = undefined
    call?.fail("refused", `no connection: ${networkWords(cause)}`, false)
  }

  received(bytes: Uint8Array): void {
    const call = this.call
    // Bytes that nobody asked for: whatever this is, the next answer must not begin with it.
    if (call === undefined) return this.close()
    if (this.writer.isSent) call.request = undefined
    const result = this.parser.push(bytes)
    if (result === "done") this.finish(call)
    else if (result === "failed") this.giveUp(call, "protocol", this.parser.problem)
  }

  drained(): void {
    const socket = this.socket
    if (socket === undefined || this.isClosed) return
    this.sentMs = this.pool.nowMs()
    if (this.call !== undefined && !this.parser.started) {
      this.deadlineMs = this.sentMs + this.firstByteTimeoutMs(this.call)
    }
    this.writer.drained(socket)
  }

  /** For the writer. */
  write(bytes: Uint8Array): number {
    if (this.socket === undefined || this.isClosed) return 0
    this.sentMs = this.pool.nowMs()
    if (this.call !== undefined && !this.parser.started) {
      this.deadlineMs = this.sentMs + this.firstByteTimeoutMs(this.call)
    }
    return this.socket.write(bytes)
  }

  /** For the writer. */
  bodyUnread(cause: unknown): void {
    if (this.call === undefined) return
    this.giveUp(this.call, "unsent", cause instanceof Error ? cause.message : String(cause))
  }

  socketClosed(error: Error | undefined): void {
    // Before it was open: TLS did not come about.
    if (this.socket === undefined) return this.connectFailed(error ?? "closed during the TLS handshake")
    if (!this.isClosed) {
      this.isClosed = true
      this.pool.forget(this)
    }
    const call = this.call
    this.writer.stop()
    if (call === undefined) return
    this.call = undefined
    if (this.parser.closed(error === undefined)) call.end()
    else if (this.parser.started) call.fail("truncated", "the pod closed the connection inside its answer", true)
    else if (this.wasStale() && call.mayTryAgain()) this.pool.startFresh(call)
    else call.fail("broken", "the pod closed the connection before its answer", false)
  }

  /** A handler of ours threw, or TLS broke. */
  failed(error: Error): void {
    const call = this.call
    const answered = this.parser.started
    this.destroy()
    this.close()
    call?.fail(answered ? "truncated" : "broken", error.message, answered)
  }

  /**
   * The pod closed the socket while it was idle and the request crossed that on its way: RFC 9112, section 9.3.1. Neither
   * a FIN nor a reset proves that, since a pod that dies of a request sends the same, so this is for requests that may
   * run twice (RFC 9110, section 9.2.2): those that may not have a socket that never was idle. What bounds it is time. The
   * close of an idle socket was under way before the request came and is here within a round trip; whatever comes later
   * comes of a pod that had the request, and is a failed try that the retry budget pays for.
   */
  private wasStale(): boolean {
    return this.served > 0 && this.pool.nowMs() - this.sentMs <= this.pool.options.staleSocketMs
  }

  private send(call: UpstreamCall, nowMs: number): void {
    const { socket } = this
    const { request } = call
    if (socket === undefined || request === undefined) return
    this.parser.reset(request.method)
    this.paused = false
    this.moved = false
    this.bodyBegan = false
    this.sentMs = nowMs
    this.deadlineMs = nowMs + this.firstByteTimeoutMs(call)
    this.writer.start(socket, request, this.pool.ownHeaders)
  }

  private firstByteTimeoutMs(call: UpstreamCall): number {
    return call.request?.firstByteTimeoutMs ?? this.pool.options.firstByteTimeoutMs
  }

  private finish(call: UpstreamCall): void {
    this.call = undefined
    this.served++
    const reusable = this.parser.keepAlive && this.parser.leftover === 0 && this.writer.isSent
    this.writer.stop()
    if (this.paused) this.resume()
    if (reusable) this.pool.release(this)
    else this.close()
    call.end()
  }

  private giveUp(call: UpstreamCall, kind: UpstreamErrorKind, message: string): void {
    const answered = this.parser.started
    this.destroy()
    call.fail(kind, message, answered)
  }
}

const ignore = (): void => {}

/** Shared by all sockets; `socket.data` is the connection. */
const socketHandlers = {
  binaryType: "uint8array",
  open: (socket: Socket<UpstreamConnection>) => socket.data.opened(socket),
  data: (socket: Socket<UpstreamConnection>, bytes: Uint8Array) => socket.data.received(bytes),
  drain: (socket: Socket<UpstreamConnection>) => socket.data.drained(),
  close: (socket: Socket<UpstreamConnection>, error?: Error) => socket.data.socketClosed(error),
  error: (socket: Socket<UpstreamConnection>, error: Error) => socket.data.failed(error),
  connectError: (socket: Socket<UpstreamConnection>, error: Error) => socket.data.connectFailed(error)
} as const
