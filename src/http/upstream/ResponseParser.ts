import { parseResponseHead } from "./responseHead.ts"
import type { ResponseHead } from "./UpstreamRequest.ts"

/** Where a parser puts what it finds. */
export interface ResponseSink {
  onHead(head: ResponseHead): void
  onData(bytes: Uint8Array): void
}

export interface ParserLimits {
  readonly headBytesMax: number
  readonly headersMax: number
}

/** more: feed on. done: the response ended, see `leftover`. failed: see `problem`. stopped: `stop` was called meanwhile. */
export type ParseResult = "more" | "done" | "failed" | "stopped"

const headState = 0
const lengthState = 1
const closeState = 2
const sizeState = 3
const extensionState = 4
const sizeEndState = 5
const chunkState = 6
const chunkCrState = 7
const chunkLfState = 8
const trailerState = 9
const doneState = 10
const failedState = 11
const stoppedState = 12

const cr = 13
const lf = 10
/** 12 hex digits: 2^48 bytes in one chunk is beyond any answer and exact in a double. */
const sizeDigitsMax = 12
const extensionBytesMax = 4_096
/** Interim (1xx) answers before the real one. */
const interimMax = 16

/**
 * Incremental HTTP/1.1 response parser; how the bytes are cut into pieces makes no difference to what comes out.
 * Body bytes are handed on as views of what was pushed, nothing is copied but a head that comes in pieces.
 */
export class ResponseParser {
  /** Why the state is failed. */
  problem = ""
  /** Bytes of the last push that lie behind the end of the response. */
  leftover = 0
  /** Valid once done. */
  keepAlive = false
  /** Some byte of a response has come. */
  started = false

  private readonly limits: ParserLimits
  private readonly sink: ResponseSink
  private method = "GET"
  private state = headState
  private carry: Uint8Array = empty
  private carried = 0
  private interim = 0
  /** Bytes left of the body or chunk. */
  private remaining = 0
  /** Digits, extension or trailer bytes seen in the current line or trailer block. */
  private lineBytes = 0
  private trailerLineBytes = 0

  constructor(limits: ParserLimits, sink: ResponseSink) {
    this.limits = limits
    this.sink = sink
  }

  /** Makes ready for the answer to a request with this method. */
  reset(method: string): void {
    this.method = method
    this.state = headState
    this.carried = 0
    this.interim = 0
    this.leftover = 0
    this.started = false
    this.problem = ""
  }

  /** No call to the sink comes after this, not even within a running push. */
  stop(): void {
    this.state = stoppedState
  }

  push(bytes: Uint8Array): ParseResult {
    this.started = true
    let at = this.state === headState ? this.head(bytes) : 0
    while (at < bytes.length && this.state < doneState) {
      if (this.state === chunkState || this.state === lengthState) at = this.body(bytes, at)
      else if (this.state === closeState) {
        this.sink.onData(at === 0 ? bytes : bytes.subarray(at))
        at = bytes.length
      } else this.frame(bytes[at++] ?? 0)
    }
    if (this.state < doneState) return "more"
    if (this.state === stoppedState) return "stopped"
    if (this.state === failedState) return "failed"
    this.leftover = bytes.length - at
    return "done"
  }

  /** The other side closed. True when that ended the response in good order. */
  closed(clean: boolean): boolean {
    if (this.state !== closeState || !clean) return false
    this.state = doneState
    return true
  }

  private body(bytes: Uint8Array, at: number): number {
    const end = Math.min(bytes.length, at + this.remaining)
    this.remaining -= end - at
    if (this.remaining === 0) this.state = this.state === chunkState ? chunkCrState : doneState
    this.sink.onData(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end))
    return end
  }

  /** One byte of chunk framing. */
  private frame(byte: number): void {
    switch (this.state) {
      case sizeState:
        return this.sizeByte(byte)
      case extensionState:
        if (byte === cr) this.state = sizeEndState
        else if (byte === lf || ++this.lineBytes > extensionBytesMax) this.fail("a bad chunk extension")
        return
      case sizeEndState:
        if (byte !== lf) return this.fail("a chunk size without its line end")
        this.lineBytes = 0
        this.trailerLineBytes = 0
        this.state = this.remaining === 0 ? trailerState : chunkState
        return
      case chunkCrState:
        if (byte !== cr) return this.fail("a chunk longer than its size")
        this.state = chunkLfState
        return
      case chunkLfState:
        if (byte !== lf) return this.fail("a chunk longer than its size")
        this.startChunk()
        return
      default:
        this.trailerByte(byte)
    }
  }

  private startChunk(): void {
    this.remaining = 0
    this.lineBytes = 0
    this.state = sizeState
  }

  private sizeByte(byte: number): void {
    const digit = hexDigit(byte)
    if (digit >= 0) {
      this.remaining = this.remaining * 16 + digit
      if (++this.lineBytes > sizeDigitsMax) this.fail("a chunk size out of range")
      return
    }
    if (this.lineBytes === 0) return this.fail("a chunk without a size")
    if (byte === cr) this.state = sizeEndState
    else if (byte === 0x3b || byte === 0x20 || byte === 0x09) {
      this.lineBytes = 0
      this.state = extensionState
    } else this.fail("a chunk size that is not hexadecimal")
  }

  /** Trailers can't be passed on, so they are only counted up to the empty line. */
  private trailerByte(byte: number): void {
    if (++this.lineBytes > this.limits.headBytesMax) return this.fail("trailers beyond the limit")
    if (byte === lf) {
      if (this.trailerLineBytes === 0) this.state = doneState
      this.trailerLineBytes = 0
    } else if (byte !== cr) this.trailerLineBytes++
  }

  /** Takes what belongs to the head; returns where the rest of `bytes` starts. */
  private head(bytes: Uint8Array): number {
    let at = 0
    if (this.carried > 0) {
      const before = this.carried
      const all = this.append(bytes, 0)
      const end = headEnd(all, Math.max(0, before - 3), this.carried)
      if (end < 0) return this.headIncomplete(bytes.length)
      this.carried = 0
      this.readHead(all, 0, end)
      at = end + 4 - before
    }
    while (this.state === headState && at < bytes.length) {
      const end = headEnd(bytes, at, bytes.length)
      if (end < 0) {
        this.append(bytes, at)
        return this.headIncomplete(bytes.length)
      }
      this.readHead(bytes, at, end)
      at = end + 4
    }
    return at
  }

  private headIncomplete(length: number): number {
    // The three bytes are a part of the empty line, as if the head had come in one piece.
    if (this.carried > this.limits.headBytesMax + 3) this.failHeadTooLong()
    return length
  }

  private failHeadTooLong(): void {
    this.fail(`a head of more than ${this.limits.headBytesMax} bytes`)
  }

  /** Adds `bytes` from `at` on to the carried part of a head and returns the buffer that holds both. */
  private append(bytes: Uint8Array, at: number): Uint8Array {
    const needed = this.carried + bytes.length - at
    if (this.carry.length < needed) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.carry.length, 1_024))
      grown.set(this.carry.subarray(0, this.carried))
      this.carry = grown
    }
    this.carry.set(at === 0 ? bytes : bytes.subarray(at), this.carried)
    this.carried = needed
    return this.carry
  }

  private readHead(bytes: Uint8Array, from: number, to: number): void {
    if (to - from > this.limits.headBytesMax) return this.failHeadTooLong()
    const head = parseResponseHead(latin1(bytes, from, to), this.method, this.limits.headersMax)
    if (typeof head === "string") return this.fail(head)
    if (head.status === 101) return this.fail("an upgrade that nobody asked for")
    if (head.status < 200) {
      if (++this.interim > interimMax) this.fail("interim answers without end")
      return
    }
    this.keepAlive = head.keepAlive
    if (head.framing === "none") this.state = doneState
    else if (head.framing === "chunked") this.startChunk()
    else if (head.framing === "length") {
      this.remaining = head.bodyBytes
      this.state = lengthState
    } else this.state = closeState
    this.sink.onHead(head)
  }

  private fail(problem: string): void {
    if (this.state === stoppedState) return
    this.problem = problem
    this.state = failedState
  }
}

const empty = new Uint8Array(0)

/** Index of the CRLF CRLF that ends a head, looked for in [from, to); -1: not there. */
const headEnd = (bytes: Uint8Array, from: number, to: number): number => {
  for (let i = from + 3; i < to; i++) {
    const byte = bytes[i]
    if (byte === lf) {
      if (bytes[i - 1] === cr && bytes[i - 2] === lf && bytes[i - 3] === cr) return i - 3
    }
  }
  return -1
}

const latin1 = (bytes: Uint8Array, from: number, to: number): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("latin1")

const hexDigit = (byte: number): number => {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}
