import { BodyTooLarge } from "../errors.ts"
import { HeldBytes, type RequestBytes } from "../http/doors/RequestBytes.ts"

/** A request's body as its pieces come from Envoy, charged to the room for all bodies until it is released. */
export class CollectedBody {
  private pieces: Array<Buffer> = []
  private bytes = 0
  private readonly held: HeldBytes

  constructor(room: RequestBytes) {
    this.held = new HeldBytes(room)
  }

  /** Throws the GatewayError that the client is to get when it is too large, or there is no room. */
  add(piece: Buffer, bytesMax: number): void {
    this.bytes += piece.length
    if (this.bytes > bytesMax) {
      throw new BodyTooLarge({
        message: `the request's body is larger than ${bytesMax} bytes, the limit of this gateway`
      })
    }
    this.held.take(piece.length)
    if (piece.length > 0) this.pieces.push(piece)
  }

  /** All that came; it is held until the release, but kept here no more. */
  whole(): Buffer {
    const { pieces } = this
    this.pieces = []
    const [first] = pieces
    return pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces)
  }

  /** Gives the room back; harmless when repeated. */
  release(): void {
    this.pieces = []
    this.held.release()
  }
}
