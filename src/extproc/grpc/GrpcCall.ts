import type { ServerHttp2Stream } from "node:http2"
import { GrpcError, grpcMessage, type GrpcStatus, grpcStatus } from "./grpcStatus.ts"
import { MessageSplitter } from "./MessageSplitter.ts"

/** What happens on a call. What `onMessage` throws ends the call with an error. */
export interface CallHandler {
  readonly onMessage: (message: Buffer) => void
  /** The caller has sent all it wants to send. */
  readonly onHalfClose: () => void
  /** Once, whichever way the call ended. */
  readonly onGone: () => void
}

/** The server's side of one gRPC call on an HTTP/2 stream. */
export class GrpcCall {
  private readonly stream: ServerHttp2Stream
  private readonly splitter: MessageSplitter
  private status: GrpcStatus = grpcStatus.ok
  private message = ""
  private finished = false

  constructor(stream: ServerHttp2Stream, messageBytesMax: number) {
    this.stream = stream
    this.splitter = new MessageSplitter(messageBytesMax)
    stream.on("error", ignored)
  }

  /** Answers with the head and hands messages to the handler from now on. */
  serve(handler: CallHandler, log: (message: string, cause: unknown) => void): void {
    const { stream } = this
    stream.respond(responseHead, { waitForTrailers: true })
    stream.on("wantTrailers", () => {
      if (stream.destroyed) return
      stream.sendTrailers(this.trailers())
      // A caller that goes on sending to a call that is over would keep its stream open.
      if (!stream.readableEnded) setImmediate(() => stream.close(noError))
    })
    stream.on("data", (chunk: Buffer) => {
      if (this.finished) return
      try {
        this.splitter.add(chunk, handler.onMessage)
      } catch (cause) {
        this.fail(cause, log)
      }
    })
    stream.on("end", () => {
      if (this.finished) return
      if (this.splitter.midMessage) this.finish(grpcStatus.invalidArgument, "the stream ends inside a message")
      else handler.onHalfClose()
    })
    stream.on("close", handler.onGone)
  }

  /** One frame or more. */
  send(frames: Uint8Array): void {
    if (!this.finished && !this.stream.destroyed) this.stream.write(frames)
  }

  /** Ends the call. A second end changes nothing. */
  finish(status: GrpcStatus, message = ""): void {
    if (this.finished) return
    this.finished = true
    this.status = status
    this.message = message
    if (!this.stream.destroyed) this.stream.end()
  }

  private fail(cause: unknown, log: (message: string, cause: unknown) => void): void {
    if (cause instanceof GrpcError) return this.finish(cause.status, cause.message)
    log("a call of Envoy's failed by a defect of the gateway", cause)
    this.finish(grpcStatus.internal, "the gateway failed on this call; its log says why")
  }

  private trailers(): Record<string, string> {
    return this.message === ""
      ? { "grpc-status": String(this.status) }
      : { "grpc-status": String(this.status), "grpc-message": grpcMessage(this.message) }
  }
}

const noError = 0
const responseHead = { ":status": 200, "content-type": "application/grpc" }

/** A broken stream also closes, which is where it is dealt with. */
const ignored = (): void => {}
