const DELIMITED = 2
const framePrefixBytes = 5
const startBytes = 16 * 1024
/** A buffer that one large body made grow is not kept. */
const keptBytesMax = 1024 * 1024

/**
 * Writes protobuf messages and their gRPC frames from the last byte to the first, so that every length is known when it
 * is written: a message's fields first, last field first, then `message` or `frame` with the size that was before them.
 * One writer serves many; what `take` returns is a copy.
 */
export class FrameWriter {
  private buffer = Buffer.allocUnsafe(startBytes)
  /** Bytes written since the last `take`. */
  size = 0

  number(field: number, value: number): void {
    this.varint(value)
    this.varint(field * 8)
  }

  bool(field: number, value: boolean): void {
    this.number(field, value ? 1 : 0)
  }

  bytes(field: number, bytes: Uint8Array): void {
    // The room first: making it may replace the buffer.
    const at = this.make(bytes.byteLength)
    this.buffer.set(bytes, at)
    this.delimited(field, bytes.byteLength)
  }

  text(field: number, text: string): void {
    const length = Buffer.byteLength(text)
    const at = this.make(length)
    this.buffer.write(text, at, length)
    this.delimited(field, length)
  }

  /** The fields that were written since `size` was `sizeBefore` become a nested message. */
  message(field: number, sizeBefore: number): void {
    this.delimited(field, this.size - sizeBefore)
  }

  /** The fields that were written since `size` was `sizeBefore` become a message of the stream. */
  frame(sizeBefore: number): void {
    const length = this.size - sizeBefore
    const at = this.make(framePrefixBytes)
    this.buffer[at] = 0
    this.buffer.writeUInt32BE(length, at + 1)
  }

  /** All that was written. The writer starts anew. */
  take(): Buffer {
    const { buffer } = this
    const taken = Buffer.from(buffer.subarray(buffer.length - this.size))
    this.size = 0
    if (buffer.length > keptBytesMax) this.buffer = Buffer.allocUnsafe(startBytes)
    return taken
  }

  private delimited(field: number, length: number): void {
    this.varint(length)
    this.varint(field * 8 + DELIMITED)
  }

  private varint(value: number): void {
    if (value < 128) {
      const at = this.make(1)
      this.buffer[at] = value
      return
    }
    let length = 0
    for (let left = value; left >= 1; left = Math.floor(left / 128)) length++
    let at = this.make(length)
    let left = value
    for (; left >= 128; left = Math.floor(left / 128)) this.buffer[at++] = (left % 128) + 128
    this.buffer[at] = left
  }

  /** Room for `length` bytes in front of those that are there; returns where it starts. */
  private make(length: number): number {
    this.size += length
    if (this.size > this.buffer.length) this.grow(length)
    return this.buffer.length - this.size
  }

  private grow(length: number): void {
    const old = this.buffer
    const kept = this.size - length
    const grown = Buffer.allocUnsafe(Math.max(2 * old.length, this.size))
    grown.set(old.subarray(old.length - kept), grown.length - kept)
    this.buffer = grown
  }
}
