/** Where a small text field of a form lies in the body. */
export interface FormField {
  readonly value: string
  readonly start: number
  readonly end: number
}

/** A form of more parts than this is not looked into further. */
const partsMax = 64
const partHeadBytesMax = 8_192
const valueBytesMax = 4_096
const blankLine = "\r\n\r\n"

/**
 * Finds the named fields of a form whose bytes come in pieces, however they are cut: files are stepped over, and no more
 * is kept than one small field. RFC 7578.
 */
export class FormScanner {
  private readonly names: ReadonlyArray<string>
  /** With the line end before it, which only the first one may lack. */
  private readonly delimiter: Buffer
  private readonly fields = new Map<string, FormField>()
  private state: "preamble" | "boundary" | "head" | "value" | "over" = "preamble"
  private problem: string | undefined
  /** What has not been passed yet, and where in the body it begins. */
  private window: Buffer = Buffer.alloc(0)
  private windowAt = 0
  private parts = 0
  /** Of the part in hand, when it may be one of those looked for. */
  private name: string | undefined
  private valueAt = 0

  constructor(boundary: string, names: ReadonlyArray<string>) {
    this.names = names
    this.delimiter = Buffer.from(`\r\n--${boundary}`)
  }

  push(bytes: Uint8Array): void {
    if (this.state === "over") return
    const piece = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (this.isInFile) this.leaveRest(piece)
    this.window = this.window.length === 0 ? piece : Buffer.concat([this.window, piece])
    while (this.step());
    // A copy, so that a little rest does not keep a large piece in memory.
    this.window = Buffer.from(this.window)
  }

  /** After the last piece: the fields, or as text why the bytes are no such form. */
  end(): ReadonlyMap<string, FormField> | string {
    switch (this.state) {
      case "preamble":
        return "the multipart body does not contain its boundary"
      case "boundary":
      case "head":
        return noHeadEnd
      case "value":
        return "the multipart body ends without its closing boundary"
      case "over":
        return this.problem ?? this.fields
    }
  }

  private get isInFile(): boolean {
    return this.state === "value" && this.name === undefined
  }

  /** Passes what is left of the pieces before when no delimiter begins in it, so that files are not copied. */
  private leaveRest(piece: Buffer): void {
    const { length } = this.delimiter
    if (piece.length < length || this.window.length >= length) return
    const seam = Buffer.concat([this.window, piece.subarray(0, length)])
    const at = seam.indexOf(this.delimiter)
    if (at < 0 || at >= this.window.length) this.pass(this.window.length)
  }

  /** False: more bytes are needed, or none any more. */
  private step(): boolean {
    switch (this.state) {
      case "preamble":
        return this.preamble()
      case "boundary":
        return this.boundary()
      case "head":
        return this.head()
      case "value":
        return this.value()
      case "over":
        this.pass(this.window.length)
        return false
    }
  }

  private preamble(): boolean {
    const opening = this.delimiter.subarray(2)
    if (this.windowAt === 0 && this.window.length < opening.length) return false
    if (this.windowAt === 0 && this.window.subarray(0, opening.length).equals(opening)) {
      return this.next("boundary", opening.length)
    }
    const at = this.window.indexOf(this.delimiter)
    if (at >= 0) return this.next("boundary", at + this.delimiter.length)
    this.passAllBut(this.delimiter.length - 1)
    return false
  }

  private boundary(): boolean {
    if (this.window.length < 2) return false
    const isLast = this.window.toString("latin1", 0, 2) === "--"
    if (isLast || ++this.parts > partsMax) return this.next("over", 0)
    return this.next("head", 0)
  }

  private head(): boolean {
    const end = this.window.indexOf(blankLine)
    if (end > partHeadBytesMax || (end < 0 && this.window.length >= partHeadBytesMax + blankLine.length)) {
      this.problem = noHeadEnd
      return this.next("over", 0)
    }
    if (end < 0) return false
    const name = partName(this.window.toString("utf8", 0, end))
    this.name = name !== undefined && this.names.includes(name) ? name : undefined
    this.valueAt = this.windowAt + end + blankLine.length
    // The delimiter is looked for from the blank line on, for a part may be empty.
    return this.next("value", end + 2)
  }

  private value(): boolean {
    const at = this.window.indexOf(this.delimiter)
    if (at < 0) {
      const keptMax = valueBytesMax + 2 + this.delimiter.length
      if (this.window.length > keptMax) this.name = undefined
      if (this.name === undefined) this.passAllBut(this.delimiter.length - 1)
      return false
    }
    if (this.name !== undefined) this.keep(this.name, this.windowAt + at)
    return this.next("boundary", at + this.delimiter.length)
  }

  private keep(name: string, delimiterAt: number): void {
    const start = this.valueAt
    const end = Math.max(start, delimiterAt)
    if (end - start > valueBytesMax) return
    this.fields.set(name, {
      value: this.window.toString("utf8", start - this.windowAt, end - this.windowAt),
      start,
      end
    })
  }

  private next(state: FormScanner["state"], passed: number): true {
    this.state = state
    this.pass(passed)
    return true
  }

  private passAllBut(kept: number): void {
    this.pass(Math.max(0, this.window.length - kept))
  }

  private pass(bytes: number): void {
    this.windowAt += bytes
    this.window = this.window.subarray(bytes)
  }
}

const noHeadEnd = "a part of the multipart body has no end of its headers"

const partName = (head: string): string | undefined => {
  const line = /^content-disposition:\s*form-data\s*;(.*)$/im.exec(head)?.[1]
  if (line === undefined) return undefined
  const found = /(?:^|;)\s*name=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/i.exec(line)
  return found?.[1] ?? found?.[2]
}
