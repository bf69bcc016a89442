const eventStart = "data: {"
const eventEnd = "\n\n"
const carriageReturn = 0x0d
/** A longer beginning is none that says only who speaks. */
const heldBytesMax = 64 * 1024
/** Of a pod's words, in an error of ours. */
const wordsCharsMax = 300

type Members = Readonly<Record<string, unknown>>

/**
 * The beginning of a chat's event stream, kept back while it says only who speaks (once for each choice): until more
 * comes another pod can begin anew, whatever was asked for.
 */
export class ChatOpening {
  readonly held: Array<Uint8Array> = []
  /** Why the pod gave up before it said anything. */
  surrender: string | undefined
  private heldBytes = 0
  private unread: Buffer<ArrayBufferLike> = Buffer.alloc(0)

  /** False: the answer itself has begun, and the client gets what was held, then this piece. */
  holds(piece: Uint8Array): boolean {
    const bytes = this.unread.length === 0 ? Buffer.from(piece) : Buffer.concat([this.unread, piece])
    let at = 0
    for (let end = bytes.indexOf(eventEnd); end >= 0; end = bytes.indexOf(eventEnd, at)) {
      if (!this.isStill(bytes.toString("utf8", at, end))) return false
      if (this.surrender !== undefined) return true
      at = end + eventEnd.length
    }
    this.unread = bytes.subarray(at)
    this.heldBytes += piece.length
    const start = this.unread.toString("latin1", 0, eventStart.length)
    if (this.heldBytes > heldBytesMax || !eventStart.startsWith(start)) return false
    // Other servers end lines otherwise; vLLM writes no carriage return anywhere.
    if (this.unread.includes(carriageReturn)) return false
    // The memory of a piece is the socket's.
    this.held.push(Buffer.from(piece))
    return true
  }

  /** The stream ended here, though it had said no more. */
  get isCut(): boolean {
    const left = this.unread.toString()
    return this.held.length > 0 && (membersOf(left.slice(eventStart.length - 1)) === undefined || this.isStill(left))
  }

  /** Whether nothing is said yet, this event included. */
  private isStill(event: string): boolean {
    if (!event.startsWith(eventStart)) return false
    // Most chats' second event is a word, which need not be read.
    if (!event.includes("\"role\":") && !event.includes("\"error\":") && !event.includes("\"abort\"")) return false
    const said = membersOf(event.slice(eventStart.length - 1))
    if (said === undefined) return false
    this.surrender = surrenderOf(said)
    return this.surrender !== undefined || saysOnlyWho(said["choices"])
  }
}

const membersOf = (json: string): Members | undefined => {
  try {
    return asMembers(JSON.parse(json))
  } catch {
    return undefined
  }
}

const asMembers = (value: unknown): Members =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value as Members : {}

const asList = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value : []

/** A fault of the request's own is told to the client, since no other pod would do better. */
const surrenderOf = ({ choices, error }: Members): string | undefined => {
  const { code, message } = asMembers(error)
  if (typeof code === "number" && code >= 500) {
    return `it ended a stream with an error${typeof message === "string" ? `: ${message.slice(0, wordsCharsMax)}` : ""}`
  }
  const isAborted = asList(choices).some((choice) => asMembers(choice)["finish_reason"] === "abort")
  return isAborted ? "its engine gave the request up" : undefined
}

const saysOnlyWho = (choices: unknown): boolean => {
  const list = asList(choices)
  return list.length > 0 &&
    list.map(asMembers).every(({ delta, finish_reason, token_ids }) =>
      isEmpty(finish_reason) && isEmpty(token_ids) &&
      Object.entries(asMembers(delta)).every(([name, value]) => name === "role" || isEmpty(value))
    )
}

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0)
