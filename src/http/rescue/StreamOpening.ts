import type { OpeningKind } from "./openingKinds.ts"

const eventEnd = "\n\n"
const carriageReturn = 0x0d
/**
 * A longer beginning is none that says nothing yet. The first events of a Responses stream hold the instructions and
 * the tools that the request came with, twice.
 */
const heldBytesMax = 1024 * 1024

/**
 * The beginning of an event stream, kept back while it says nothing of the answer: until more comes another pod can
 * begin anew, whatever was asked for.
 */
export class StreamOpening {
  readonly held: Array<Uint8Array> = []
  /** Why the pod gave up before it said anything. */
  surrender: string | undefined
  private readonly kind: OpeningKind
  private heldBytes = 0
  private unread: Buffer<ArrayBufferLike> = Buffer.alloc(0)

  constructor(kind: OpeningKind) {
    this.kind = kind
  }

  /** False: the answer itself has begun, and the client gets what was held, then this piece. */
  holds(piece: Uint8Array): boolean {
    const { eventStart } = this.kind
    const bytes = this.unread.length === 0 ? Buffer.from(piece) : Buffer.concat([this.unread, piece])
    let at = 0
    for (let end = bytes.indexOf(eventEnd); end >= 0; end = bytes.indexOf(eventEnd, at)) {
      if (!this.saysNothing(bytes.toString("utf8", at, end))) return false
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
    return this.held.length > 0 && (this.kind.dataOf(left) === undefined || this.saysNothing(left))
  }

  /** This event included. */
  private saysNothing(event: string): boolean {
    const told = event.startsWith(this.kind.eventStart) ? this.kind.told(event) : "something"
    if (typeof told === "object") this.surrender = told.surrender
    return told !== "something"
  }
}
