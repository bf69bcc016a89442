import type { PiecedBody } from "./UpstreamRequest.ts"

/** What is read and written at once. */
const pieceBytes = 128 * 1024

export interface PieceSink {
  /** How many of the bytes were taken; when not all, `drained` follows. */
  readonly write: (bytes: Uint8Array) => number
  readonly bodyUnread: (cause: unknown) => void
}

/** Sends a body piece by piece: the next is read when the socket has taken the last. */
export class PieceSender {
  /** All is with the socket. */
  isDone = false
  private readonly body: PiecedBody
  private readonly sink: PieceSink
  private readonly buffer = Buffer.allocUnsafeSlow(pieceBytes)
  private sent = 0
  /** Bytes in the buffer that the socket has not taken. */
  private waiting: Uint8Array | undefined
  private isReading = false
  private isStopped = false

  constructor(body: PiecedBody, sink: PieceSink) {
    this.body = body
    this.sink = sink
  }

  /** Goes on as far as the socket takes it. */
  drained(): void {
    if (this.isReading || this.isStopped || this.isDone) return
    if (this.waiting !== undefined && !this.write(this.waiting)) return
    this.isReading = true
    this.readOn().catch((cause: unknown) => {
      if (!this.isStopped) this.sink.bodyUnread(cause)
    })
  }

  stop(): void {
    this.isStopped = true
  }

  private async readOn(): Promise<void> {
    while (this.sent < this.body.byteLength) {
      const length = await this.body.read(this.sent, this.buffer)
      if (this.isStopped) return
      if (length === 0) throw new Error("the body is shorter than it was said to be")
      if (!this.write(this.buffer.subarray(0, length))) {
        this.isReading = false
        return
      }
    }
    this.isDone = true
  }

  /** True: the socket took all. */
  private write(bytes: Uint8Array): boolean {
    const wrote = Math.max(0, this.sink.write(bytes))
    this.sent += wrote
    this.waiting = wrote < bytes.length ? bytes.subarray(wrote) : undefined
    return this.waiting === undefined
  }
}
