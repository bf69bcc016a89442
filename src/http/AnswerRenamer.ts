const key = Buffer.from("\"model\":")
const blank = 0x20
/** Blanks between the colon and the name; vLLM writes none or one. */
const blanksMax = 4

/**
 * Puts the name that a client used in the place of the model that served it, wherever JSON has it as a `"model"`. The
 * same text inside of a string has its quotes escaped, so no word of an answer is touched. Bytes come and go in pieces;
 * only what may be the beginning of the name is held back to the next one.
 */
export class AnswerRenamer {
  private readonly from: Buffer
  private readonly to: Buffer
  private held: Uint8Array | undefined

  constructor(from: string, to: string) {
    this.from = Buffer.from(JSON.stringify(from))
    this.to = Buffer.concat([key, Buffer.from(JSON.stringify(to))])
  }

  /** What may be sent on by now; perhaps nothing. */
  push(piece: Uint8Array): Uint8Array {
    const bytes = this.held === undefined
      ? Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength)
      : Buffer.concat([this.held, piece])
    this.held = undefined
    const parts: Array<Uint8Array> = []
    let sent = 0
    let at = bytes.indexOf(key)
    while (at >= 0) {
      const end = this.endOfName(bytes, at + key.length)
      if (end === "unknown") break
      if (end !== "other") {
        parts.push(bytes.subarray(sent, at), this.to)
        sent = end
      }
      at = bytes.indexOf(key, Math.max(sent, at + key.length))
    }
    const safe = at >= 0 ? at : bytes.length - beginningAtEnd(bytes)
    // A copy, since the piece's memory may be the socket's.
    if (safe < bytes.length) this.held = Buffer.from(bytes.subarray(Math.max(safe, sent)))
    if (parts.length === 0) return bytes.subarray(0, safe)
    parts.push(bytes.subarray(sent, safe))
    return Buffer.concat(parts)
  }

  /** What was held back, at the end of the answer; undefined when there is nothing. */
  end(): Uint8Array | undefined {
    const { held } = this
    this.held = undefined
    return held
  }

  /** Index behind the name that begins there; other: it is another one; unknown: the bytes end before it is clear. */
  private endOfName(bytes: Buffer, from: number): number | "other" | "unknown" {
    let start = from
    while (start < from + blanksMax && bytes[start] === blank) start++
    const given = bytes.subarray(start, start + this.from.length)
    if (!given.equals(this.from.subarray(0, given.length))) return "other"
    return given.length === this.from.length ? start + given.length : "unknown"
  }
}

/** Bytes at the end that may be the beginning of the key. */
const beginningAtEnd = (bytes: Buffer): number => {
  for (let length = Math.min(key.length - 1, bytes.length); length > 0; length--) {
    if (bytes.subarray(bytes.length - length).equals(key.subarray(0, length))) return length
  }
  return 0
}
