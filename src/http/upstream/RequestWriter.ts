import { PieceSender, type PieceSink } from "./PieceSender.ts"
import type { UpstreamRequest } from "./UpstreamRequest.ts"

/** What of a socket a request needs. */
interface ByteSink {
  /** How many of the bytes were taken, less than nothing when it is closed. */
  readonly write: (bytes: Uint8Array, from?: number, length?: number) => number
}

/** Puts one request after the other on a socket, each as fast as that takes it. */
export class RequestWriter {
  /** For a request on its way to the socket; shared by all writers, valid within one call. */
  private readonly scratch: Buffer
  private readonly pieces: PieceSink
  /** What of the request the socket has not taken yet. */
  private pendingHead: Uint8Array | undefined
  private pendingBody: Uint8Array | undefined
  private pendingBodyAt = 0
  /** For a body that is not in memory. */
  private sender: PieceSender | undefined

  /** `pieces`: takes a body that is not in memory. */
  constructor(scratch: Buffer, pieces: PieceSink) {
    this.scratch = scratch
    this.pieces = pieces
  }

  /** The whole request is with the socket. */
  get isSent(): boolean {
    return this.pendingHead === undefined && this.pendingBody === undefined && (this.sender?.isDone ?? true)
  }

  /** `ownHeaders`: the lines that every request to the pod begins with. */
  start(socket: ByteSink, request: UpstreamRequest, ownHeaders: string): void {
    const { scratch } = this
    const head = requestHead(request, ownHeaders)
    const isPieced = request.body !== undefined && !(request.body instanceof Uint8Array)
    this.sender = isPieced ? new PieceSender(request.body, this.pieces) : undefined
    const body = isPieced ? undefined : request.body
    if (head.length + (body?.length ?? 0) > scratch.length) return this.startLong(socket, head, body)
    scratch.write(head, 0, "latin1")
    let length = head.length
    if (body !== undefined) {
      scratch.set(body, length)
      length += body.length
    }
    const wrote = Math.max(0, socket.write(scratch, 0, length))
    // A copy, since the scratch buffer is the next request's too; `slice` of a Buffer makes none.
    if (wrote < length) this.pendingHead = Buffer.from(scratch.subarray(wrote, length))
    else this.sender?.drained()
  }

  /** The socket takes bytes again. */
  drained(socket: ByteSink): void {
    if (this.pendingHead !== undefined) {
      const wrote = socket.write(this.pendingHead)
      if (wrote < this.pendingHead.length) {
        if (wrote > 0) this.pendingHead = this.pendingHead.subarray(wrote)
        return
      }
      this.pendingHead = undefined
    }
    this.sender?.drained()
    if (this.pendingBody !== undefined) this.writeBody(socket, this.pendingBody, this.pendingBodyAt)
  }

  /** Nothing more is read of a body that is not in memory, and its buffer is let go. */
  stop(): void {
    this.sender?.stop()
    this.sender = undefined
  }

  /** It does not fit into the scratch buffer, or has a body in pieces behind a head that does not. */
  private startLong(socket: ByteSink, head: string, body: Uint8Array | undefined): void {
    const headBytes = Buffer.from(head, "latin1")
    const wrote = Math.max(0, socket.write(headBytes))
    if (wrote < headBytes.length) {
      this.pendingHead = headBytes.subarray(wrote)
      this.pendingBody = body
      this.pendingBodyAt = 0
    } else if (body !== undefined) this.writeBody(socket, body, 0)
    else this.sender?.drained()
  }

  private writeBody(socket: ByteSink, body: Uint8Array, from: number): void {
    const wrote = Math.max(0, socket.write(body, from, body.length - from))
    const done = from + wrote === body.length
    this.pendingBody = done ? undefined : body
    this.pendingBodyAt = from + wrote
  }
}

const requestHead = (request: UpstreamRequest, ownHeaders: string): string => {
  const { method, target, headerLines, body } = request
  const length = body !== undefined || method === "POST" ? `content-length: ${body?.byteLength ?? 0}\r\n` : ""
  return `${method} ${target} HTTP/1.1\r\n${ownHeaders}${headerLines}${length}\r\n`
}
