import { GrpcError, grpcStatus } from "./grpcStatus.ts"

/** In front of each message: a byte that says whether it is compressed, then its length. */
const prefixBytes = 5

/** Cuts the bytes of a gRPC stream into messages. What is kept between two calls is at most one message. */
export class MessageSplitter {
  private readonly messageBytesMax: number
  private pieces: Array<Buffer> = []
  private heldBytes = 0

  constructor(messageBytesMax: number) {
    this.messageBytesMax = messageBytesMax
  }

  /** True when part of a message waits for the rest. */
  get midMessage(): boolean {
    return this.heldBytes > 0
  }

  /** Calls `onMessage` for each message that is complete; the views stay valid. Throws GrpcError. */
  add(chunk: Buffer, onMessage: (message: Buffer) => void): void {
    let bytes = chunk
    if (this.heldBytes > 0) {
      this.pieces.push(chunk)
      this.heldBytes += chunk.length
      if (this.heldBytes < this.wanted()) return
      bytes = Buffer.concat(this.pieces)
      this.pieces = []
      this.heldBytes = 0
    }
    let at = 0
    while (bytes.length - at >= prefixBytes) {
      const end = at + prefixBytes + this.lengthAt(bytes, at)
      if (end > bytes.length) break
      onMessage(bytes.subarray(at + prefixBytes, end))
      at = end
    }
    if (at < bytes.length) {
      this.pieces = [bytes.subarray(at)]
      this.heldBytes = bytes.length - at
    }
  }

  /** Bytes that must be there before looking again is worth a copy. */
  private wanted(): number {
    const [first] = this.pieces
    return first === undefined || first.length < prefixBytes ? prefixBytes : prefixBytes + this.lengthAt(first, 0)
  }

  private lengthAt(bytes: Buffer, at: number): number {
    if (bytes[at] !== 0) throw new GrpcError(grpcStatus.unimplemented, "compressed messages are not supported")
    const length = bytes.readUInt32BE(at + 1)
    if (length > this.messageBytesMax) {
      throw new GrpcError(
        grpcStatus.resourceExhausted,
        `a message of ${length} bytes is larger than ${this.messageBytesMax} (extproc.messageBytesMax)`
      )
    }
    return length
  }
}
