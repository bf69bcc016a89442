import type { TokenTrail } from "./TokenTrail.ts"

const lineFeed = 0x0a
const carriageReturn = 0x0d
const comma = 0x2c
const colon = 0x3a
const quote = 0x22
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d
const nullBytes = Buffer.from("null")
const contentKey = Buffer.from("\"delta\":{\"content\":\"")
const eventStart = Buffer.from("data: ")
const idsKey = Buffer.from("\"token_ids\":")
const promptKey = Buffer.from("\"prompt_token_ids\":[")

/** What stands between the text of a usual event and its ids; in a last event it says why. */
const between = {
  chat: Buffer.from(",\"logprobs\":null,\"finish_reason\":null,\"token_ids\":"),
  completions: Buffer.from(
    ",\"logprobs\":null,\"finish_reason\":null,\"stop_reason\":null,\"prompt_token_ids\":null,\"token_ids\":"
  )
} as const

/** An event that has not ended after so many bytes is no event of tokens. */
const partialBytesMax = 32 * 1024 * 1024

/** waiting: for the first event. on: ids are taken. off: this pod tells none, so bytes pass as they are. */
type State = "waiting" | "on" | "off"

/**
 * Watches the events of a pod that was asked for token ids: keeps the ids, and takes them out of the bytes again, so
 * that the client gets what the pod would have sent without. Looks at bytes only, parses nothing. Only whole events
 * leave, since a half one could not be continued.
 */
export class TokenEvents {
  /** JSON of the first event as the client got it: its id and the rest that later events repeat. */
  first = ""
  /** The answer has said why it ended. */
  finished = false
  /** It has said how many tokens it took. */
  usageTold = false
  /** It began with something else than the text of the answer. */
  reasons = false
  /** An event by which the pod gives up in mid-answer, held back. */
  surrender: Uint8Array | undefined
  /** The last event with ids, as the client got it. */
  last: Uint8Array | undefined
  private readonly trail: TokenTrail
  private readonly shows: boolean
  private readonly isChat: boolean
  private readonly gap: Uint8Array
  private state: State = "waiting"
  private partial: Uint8Array | undefined

  /** `shows`: the client wants the ids too. */
  constructor(kind: "chat" | "completions", shows: boolean, trail: TokenTrail) {
    this.trail = trail
    this.shows = shows
    this.isChat = kind === "chat"
    this.gap = between[kind]
  }

  /** What may go to the client now; perhaps nothing. The piece's memory is written into. */
  push(piece: Uint8Array): Uint8Array {
    if (this.state === "off") return piece
    const bytes = this.partial === undefined ? piece : Buffer.concat([this.partial, piece])
    this.partial = undefined
    const end = bytes.indexOf(lineFeed)
    if (end >= 0 && end === bytes.length - 2 && bytes[end + 1] === lineFeed) return this.event(bytes)
    return this.several(bytes)
  }

  /** What was held back when the stream ended. */
  rest(): Uint8Array | undefined {
    const { partial } = this
    this.partial = undefined
    return partial
  }

  private several(bytes: Uint8Array): Uint8Array {
    const parts: Array<Uint8Array> = []
    let at = 0
    for (let end = eventEnd(bytes, at); end >= 0; end = eventEnd(bytes, at)) {
      parts.push(this.event(bytes.subarray(at, end)))
      at = end
      if (this.surrender !== undefined) return Buffer.concat(parts)
      if (this.state === "off") break
    }
    const left = bytes.subarray(at)
    if (this.state !== "off" && left.length > 0) {
      if (this.mayBecomeWhole(left)) this.partial = Buffer.from(left)
      else this.state = "off"
    }
    if (this.partial === undefined) parts.push(left)
    return parts.length === 1 ? parts[0] ?? bytes : Buffer.concat(parts)
  }

  /** Other servers end lines otherwise, or send no events at all; vLLM writes no carriage return anywhere. */
  private mayBecomeWhole(left: Uint8Array): boolean {
    if (left.length > partialBytesMax || left.indexOf(carriageReturn) >= 0) return false
    for (let i = 0; i < Math.min(left.length, eventStart.length); i++) if (left[i] !== eventStart[i]) return false
    return true
  }

  private event(bytes: Uint8Array): Uint8Array {
    const end = bytes.length - 5
    // The usual one ends in `[123]}]}` and a blank line.
    if (this.state === "on" && bytes[end - 1] === closeBracket && bytes[end] === closeBrace) {
      let open = end - 2
      while (isIdByte(bytes[open])) open--
      if (open < end - 2 && bytes[open] === openBracket && endsWith(bytes, open, this.gap)) {
        return this.tokens(bytes, open, end, this.isEmpty(bytes, open), this.hasNoDelta(bytes, open))
      }
    }
    return this.odd(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  }

  /** The first event, the last ones, those with usage in them, and comments. */
  private odd(bytes: Buffer): Uint8Array {
    let event = bytes
    if (this.state === "waiting") {
      if (!startsWith(event, "data: {")) return bytes
      const at = event.indexOf(promptKey)
      if (at < 0) {
        this.state = "off"
        return bytes
      }
      this.state = "on"
      const open = at + promptKey.length - 1
      const close = event.indexOf(closeBracket, open)
      this.trail.start(event.subarray(open + 1, close))
      this.first = `${event.toString("utf8", "data: ".length, open)}null${event.toString("utf8", close + 1)}`
      event = Buffer.from(this.without(event, open, close + 1))
    }
    if (startsWith(event, "data: {\"error\"")) return this.gaveUp(event)
    const at = event.lastIndexOf(idsKey) + idsKey.length
    const close = event.indexOf(closeBracket, at)
    const hasIds = at >= idsKey.length && event[at] === openBracket && close >= 0
    // An engine that gives up a request says so without a token.
    if (event.includes("\"finish_reason\":\"abort\"")) {
      return this.gaveUp(hasIds ? this.without(event, at, close + 1) : event)
    }
    if (!hasIds) {
      this.usageTold ||= event.includes("\"choices\":[]")
      return event
    }
    if (close === at + 1) return this.without(event, at, close + 1)
    if (!event.subarray(at + 1, close).every(isIdByte)) {
      // What is not known to be ids must not reach another pod as such.
      this.trail.release()
      return event
    }
    this.finished ||= !event.includes("\"finish_reason\":null")
    const isEmpty = !this.finished && event.includes(this.isChat ? "\"content\":\"\"" : "\"text\":\"\"")
    return this.tokens(event, at, close + 1, isEmpty, !this.finished && event.includes("\"delta\":{}"))
  }

  private gaveUp(event: Uint8Array): Uint8Array {
    this.surrender = event
    return nothing
  }

  /** Keeps the ids in `bytes` from the bracket at `open` up to `end`, behind the other. */
  private tokens(bytes: Uint8Array, open: number, end: number, isEmpty: boolean, hasNoDelta: boolean): Uint8Array {
    this.trail.append(bytes, open + 1, end - 1)
    if (!isEmpty && !hasNoDelta) this.trail.commit()
    if (this.last === undefined && this.isChat) this.reasons ||= hasNoDelta || !hasContent(bytes)
    const event = this.without(bytes, open, end)
    // Without ids in it vLLM would not have sent this one.
    if (hasNoDelta) return this.shows ? event : nothing
    return this.last = event
  }

  /** A list of ids becomes the `null` that it would have been. */
  private without(bytes: Uint8Array, open: number, end: number): Uint8Array {
    if (this.shows) return bytes
    const saved = end - open - nullBytes.length
    if (saved < 0) return Buffer.concat([bytes.subarray(0, open), nullBytes, bytes.subarray(end)])
    bytes.set(nullBytes, open)
    bytes.copyWithin(open + nullBytes.length, end)
    return bytes.subarray(0, bytes.length - saved)
  }

  /** Index of what precedes the usual members before the ids: a text's last quote, in a chat its delta's brace. */
  private beforeGap(open: number): number {
    return open - this.gap.length - 1
  }

  /** The ids of a half character have no text yet. */
  private isEmpty(bytes: Uint8Array, open: number): boolean {
    const at = this.beforeGap(open) - (this.isChat ? 1 : 0)
    return bytes[at] === quote && bytes[at - 1] === quote && bytes[at - 2] === colon
  }

  private hasNoDelta(bytes: Uint8Array, open: number): boolean {
    const at = this.beforeGap(open)
    return this.isChat && bytes[at] === closeBrace && bytes[at - 1] === openBrace
  }
}

const nothing = new Uint8Array(0)

const isIdByte = (byte: number | undefined): boolean =>
  byte !== undefined && ((byte >= 0x30 && byte <= 0x39) || byte === comma)

/** `bytes` before `at` end with `key`. */
const endsWith = (bytes: Uint8Array, at: number, key: Uint8Array): boolean => {
  for (let i = 1; i <= key.length; i++) if (bytes[at - i] !== key[key.length - i]) return false
  return true
}

export const hasContent = (bytes: Uint8Array): boolean =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(contentKey)

const startsWith = (bytes: Buffer, text: string): boolean => bytes.toString("latin1", 0, text.length) === text

/** Index behind the blank line that ends the event which begins at `at`; -1: it is not all there. */
const eventEnd = (bytes: Uint8Array, at: number): number => {
  for (let end = bytes.indexOf(lineFeed, at); end >= 0; end = bytes.indexOf(lineFeed, end + 1)) {
    if (bytes[end + 1] === lineFeed) return end + 2
  }
  return -1
}
