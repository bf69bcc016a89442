import type { ResponseHead } from "./UpstreamRequest.ts"

/** How the end of a body is told. */
type Framing = "none" | "length" | "chunked" | "close"

export interface ParsedHead extends ResponseHead {
  readonly framing: Framing
  /** The socket may serve another request once the body has ended. */
  readonly keepAlive: boolean
}

const nameChars = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
// oxlint-disable-next-line no-control-regex -- a tab is the only one of these that a header value may carry
const valueBreakers = /[\x00-\x08\x0a-\x1f\x7f]/
// oxlint-disable-next-line no-control-regex -- nor may the words behind a status
const statusLine = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?$/
const digits = /^\d{1,15}$/

/**
 * Reads the text of a response head without its closing empty line.
 * Returns what is wrong with it as text. Framing rules: RFC 9112 section 6.3.
 */
export const parseResponseHead = (text: string, method: string, headersMax: number): ParsedHead | string => {
  const lines = text.split("\r\n")
  if (lines.length - 1 > headersMax) return `more than ${headersMax} headers`
  const start = statusLine.exec(lines[0] ?? "")
  if (start === null) return "the status line is not HTTP/1.1"
  const status = Number(start[2])
  const headers: Array<string> = []
  const framing = new FramingHeaders(start[1] === "1")
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i] ?? ""
    const colon = line.indexOf(":")
    const name = line.slice(0, Math.max(0, colon))
    if (!nameChars.test(name)) return "a header has no valid name"
    const value = trimBlanks(line, colon + 1)
    if (valueBreakers.test(value)) return `the header ${name} carries a control character`
    const wrong = framing.see(name, value)
    if (wrong !== undefined) return wrong
    headers.push(name, value)
  }
  return framing.finish(status, start[3] ?? "", headers, method)
}

class FramingHeaders {
  private length = -1
  private chunked = false
  private keepAlive: boolean

  constructor(http11: boolean) {
    this.keepAlive = http11
  }

  /** Text when the header makes the body's length unsure. */
  see(name: string, value: string): string | undefined {
    switch (name.length) {
      case 10:
        if (name.toLowerCase() === "connection") this.seeConnection(value.toLowerCase())
        return undefined
      case 14: {
        if (name.toLowerCase() !== "content-length") return undefined
        if (!digits.test(value)) return "content-length is not a number"
        const length = Number(value)
        if (this.length !== -1 && this.length !== length) return "two different content-lengths"
        this.length = length
        return undefined
      }
      case 17:
        if (name.toLowerCase() !== "transfer-encoding") return undefined
        if (this.chunked || value.toLowerCase() !== "chunked") return `transfer-encoding ${value} is not supported`
        this.chunked = true
        return undefined
      default:
        return undefined
    }
  }

  finish(status: number, reason: string, headers: ReadonlyArray<string>, method: string): ParsedHead {
    const bare = method === "HEAD" || status < 200 || status === 204 || status === 304
    const framing: Framing = bare
      ? "none"
      : this.chunked
      ? "chunked"
      : this.length === 0
      ? "none"
      : this.length > 0
      ? "length"
      : "close"
    // RFC 9112 6.3: who says both may have been tricked by a third, so nothing else is read from that connection.
    const saysBoth = this.chunked && this.length !== -1
    return {
      status,
      reason,
      headers,
      framing,
      bodyBytes: framing === "none" ? 0 : framing === "length" ? this.length : -1,
      keepAlive: this.keepAlive && framing !== "close" && !saysBoth
    }
  }

  private seeConnection(value: string): void {
    if (value.includes("close")) this.keepAlive = false
    else if (value.includes("keep-alive")) this.keepAlive = true
  }
}

/** Value without the optional blanks around it. */
const trimBlanks = (line: string, from: number): string => {
  let start = from
  let end = line.length
  while (start < end && isBlank(line.charCodeAt(start))) start++
  while (end > start && isBlank(line.charCodeAt(end - 1))) end--
  return line.slice(start, end)
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09
