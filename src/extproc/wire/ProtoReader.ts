/** The bytes are no protobuf message; the stream that brought them can't go on. */
export class MalformedMessage extends Error {
  override readonly name = "MalformedMessage"
}

const VARINT = 0
const FIXED64 = 1
const DELIMITED = 2
const FIXED32 = 5

const varintBytesMax = 10

/**
 * Walks over the fields of a protobuf message in place. After `next` came true exactly one of `varint`, `bytes`,
 * `text`, `double`, `enter` or `skip` takes the field's value. A value of another wire type than asked for throws.
 */
export class ProtoReader {
  /** Number of the field that `next` found. */
  field = 0
  private wireType = 0
  private readonly buffer: Buffer
  private at: number
  private end: number

  constructor(buffer: Buffer, start = 0, end = buffer.length) {
    this.buffer = buffer
    this.at = start
    this.end = end
  }

  /** Goes to the next field; false at the end of the message. */
  next(): boolean {
    if (this.at >= this.end) return false
    const tag = this.rawVarint()
    this.field = Math.floor(tag / 8)
    this.wireType = tag % 8
    return true
  }

  /** Exact up to 2^53, which no field that is read here exceeds. */
  varint(): number {
    this.expect(VARINT)
    return this.rawVarint()
  }

  bool(): boolean {
    return this.varint() !== 0
  }

  double(): number {
    this.expect(FIXED64)
    const at = this.take(8)
    return this.buffer.readDoubleLE(at)
  }

  /** A view, no copy. */
  bytes(): Buffer {
    const length = this.length()
    const at = this.take(length)
    return this.buffer.subarray(at, at + length)
  }

  text(): string {
    const length = this.length()
    const at = this.take(length)
    return this.buffer.toString("utf8", at, at + length)
  }

  /** Steps into a nested message; hand the returned mark to `leave` when done with it. */
  enter(): number {
    const length = this.length()
    const at = this.take(length)
    const mark = this.end
    this.end = this.at
    this.at = at
    return mark
  }

  /** Goes on behind the nested message, wherever in it the reader stands. */
  leave(mark: number): void {
    this.at = this.end
    this.end = mark
  }

  skip(): void {
    if (this.wireType === VARINT) this.rawVarint()
    else if (this.wireType === DELIMITED) this.take(this.rawVarint())
    else if (this.wireType === FIXED64) this.take(8)
    else if (this.wireType === FIXED32) this.take(4)
    else throw new MalformedMessage(`a field has the wire type ${this.wireType}, which is not in use`)
  }

  private length(): number {
    this.expect(DELIMITED)
    return this.rawVarint()
  }

  private expect(wireType: number): void {
    if (this.wireType !== wireType) {
      throw new MalformedMessage(`field ${this.field} has the wire type ${this.wireType} in place of ${wireType}`)
    }
  }

  /** Where the next `length` bytes start; the reader goes behind them. */
  private take(length: number): number {
    const at = this.at
    if (length > this.end - at) throw new MalformedMessage("the message ends inside a field")
    this.at = at + length
    return at
  }

  private rawVarint(): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < varintBytesMax; i++) {
      if (this.at >= this.end) throw new MalformedMessage("the message ends inside a number")
      const byte = this.buffer[this.at++] ?? 0
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 128
    }
    throw new MalformedMessage("a number is longer than ten bytes")
  }
}
