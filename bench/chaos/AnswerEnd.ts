/** The end of a chunked body without trailers, which no event of a stream holds: JSON escapes line ends. */
const LAST_CHUNK = Buffer.from("\r\n0\r\n\r\n")
const HEAD_BYTES_MAX = 64 * 1024

/**
 * Tells with little work when an answer may be whole, so that a client keeps up with a thousand streams at once. Whether
 * it is right is for `HttpAnswer` to say, later.
 */
export class AnswerEnd {
  /** What came last looks like the end. */
  reached = false
  /** The connection may carry another request behind it. */
  keepsConnection = false
  #head: Buffer = Buffer.alloc(0)
  /** Of the body; undefined: it is chunked, or ends with its connection. */
  #left: number | undefined
  #begun = false
  #isChunked = false
  #tail: Buffer = Buffer.alloc(0)

  push(bytes: Buffer): void {
    if (this.#begun) return this.#body(bytes)
    const head = Buffer.concat([this.#head, bytes])
    const end = head.indexOf("\r\n\r\n")
    if (end < 0) {
      this.#head = head
      this.reached = head.length > HEAD_BYTES_MAX
      return
    }
    const lines = head.toString("latin1", 0, end)
    this.#begun = true
    this.#isChunked = /^transfer-encoding: *chunked *$/im.test(lines)
    const length = /^content-length: *(\d+) *$/im.exec(lines)?.[1]
    if (length !== undefined && !this.#isChunked) this.#left = Number(length)
    this.keepsConnection = (this.#isChunked || length !== undefined) && !/^connection: *close *$/im.test(lines)
    // With the line end of the head, in case the body is its last chunk alone.
    this.#body(head.subarray(this.#isChunked ? end + 2 : end + 4))
  }

  #body(bytes: Buffer): void {
    if (this.#left !== undefined) {
      this.#left -= bytes.length
      this.reached = this.#left <= 0
    } else if (this.#isChunked) this.reached = this.#endsChunks(bytes)
  }

  #endsChunks(bytes: Buffer): boolean {
    const from = bytes.length - LAST_CHUNK.length
    if (from >= 0) {
      this.#tail = bytes
      return bytes[from + 2] === LAST_CHUNK[2] && bytes.compare(LAST_CHUNK, 0, LAST_CHUNK.length, from) === 0
    }
    const tail = Buffer.concat([this.#tail, bytes])
    this.#tail = tail.subarray(Math.max(0, tail.length - LAST_CHUNK.length))
    return this.#tail.equals(LAST_CHUNK)
  }
}
