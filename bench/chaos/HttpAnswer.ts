type Framing = { readonly kind: "length"; left: number } | { readonly kind: "chunked" } | { readonly kind: "close" }

const CRLF = "\r\n"
const HEAD_BYTES_MAX = 64 * 1024

/** One HTTP/1.1 answer, read as strictly as the RFC allows: whatever is off is a fault. */
export class HttpAnswer {
  status = 0
  readonly headers = new Map<string, string>()
  /** The answer is whole. */
  done = false
  /** What was wrong with it. */
  fault: string | undefined
  /** At least one byte came. */
  begun = false
  readonly #onBody: (piece: Buffer) => void
  #held: Buffer = Buffer.alloc(0)
  #framing: Framing | undefined
  /** Bytes left of the chunk under way; -1: its size comes next, -2: the line end behind it, -3: trailers. */
  #chunk = -1

  constructor(onBody: (piece: Buffer) => void) {
    this.#onBody = onBody
  }

  /** The connection may carry another request. */
  get reusable(): boolean {
    return this.done && this.#framing?.kind !== "close" && this.headers.get("connection")?.toLowerCase() !== "close"
  }

  push(piece: Buffer): void {
    this.begun = true
    if (this.fault !== undefined) return
    if (this.done) return this.#fail("bytes behind the answer")
    let data = this.#held.length === 0 ? piece : Buffer.concat([this.#held, piece])
    this.#held = Buffer.alloc(0)
    if (this.#framing === undefined) {
      const end = data.indexOf("\r\n\r\n")
      if (end < 0) {
        if (
          data.length > HEAD_BYTES_MAX || !"HTTP/1.1 ".startsWith(data.toString("latin1", 0, Math.min(9, data.length)))
        ) {
          return this.#fail("not an HTTP answer")
        }
        this.#held = Buffer.from(data)
        return
      }
      this.#readHead(data.toString("latin1", 0, end))
      data = data.subarray(end + 4)
    }
    this.#readBody(data)
  }

  /** The other side closed. */
  close(): void {
    if (this.done || this.fault !== undefined) return
    if (this.#framing?.kind === "close") this.done = true
    else this.#fail(this.begun ? "connection closed inside the answer" : "connection closed without an answer")
  }

  #fail(fault: string): void {
    this.fault ??= fault
  }

  #readHead(head: string): void {
    const [first = "", ...lines] = head.split(CRLF)
    const match = /^HTTP\/1\.1 (\d{3})( |$)/.exec(first)
    if (match === null) return this.#fail("not an HTTP answer")
    this.status = Number(match[1])
    for (const line of lines) {
      const colon = line.indexOf(":")
      if (colon < 1) return this.#fail("bad header")
      this.headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim())
    }
    const length = this.headers.get("content-length")
    if (this.headers.get("transfer-encoding")?.toLowerCase() === "chunked") this.#framing = { kind: "chunked" }
    else if (length === undefined) this.#framing = { kind: "close" }
    else if (/^\d+$/.test(length)) this.#framing = { kind: "length", left: Number(length) }
    else this.#fail("bad content-length")
  }

  #readBody(data: Buffer): void {
    const framing = this.#framing
    if (framing === undefined || this.fault !== undefined) return
    if (framing.kind === "chunked") return this.#readChunks(data)
    if (framing.kind === "length") {
      if (data.length > framing.left) return this.#fail("bytes behind the answer")
      framing.left -= data.length
      this.done = framing.left === 0
    }
    if (data.length > 0) this.#onBody(data)
  }

  #readChunks(data: Buffer): void {
    while (data.length > 0 && !this.done) {
      if (this.#chunk > 0) {
        const body = data.subarray(0, this.#chunk)
        this.#onBody(body)
        this.#chunk -= body.length
        data = data.subarray(body.length)
        if (this.#chunk === 0) this.#chunk = -2
        continue
      }
      const end = data.indexOf(CRLF)
      if (end < 0) {
        if (data.length > 1024) return this.#fail("bad chunk")
        this.#held = Buffer.from(data)
        return
      }
      if (!this.#takeLine(data.toString("latin1", 0, end))) return this.#fail("bad chunk")
      data = data.subarray(end + 2)
    }
    if (data.length > 0) this.#fail("bytes behind the answer")
  }

  #takeLine(line: string): boolean {
    if (this.#chunk === -3) {
      this.done = line === ""
      return true
    }
    if (this.#chunk === -2) {
      this.#chunk = -1
      return line === ""
    }
    const size = /^([0-9a-fA-F]{1,7})(;.*)?$/.exec(line)
    if (size === null) return false
    this.#chunk = Number.parseInt(size[1]!, 16)
    if (this.#chunk === 0) this.#chunk = -3
    return true
  }
}
