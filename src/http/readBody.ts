import { BadRequest, BodyTooLarge, GatewayError } from "../errors.ts"
import type { HeldBytes } from "./doors/RequestBytes.ts"

/** Where a body goes that is not to be read in one. */
export interface BodySink {
  /** Before the first piece, if the length is known. */
  readonly announce: (bytes: number) => Promise<void>
  /** The next piece comes when this one is taken. `isAnnounced`: it is a part of the length that was told. */
  readonly take: (piece: Uint8Array, isAnnounced: boolean) => Promise<void>
}

/**
 * The whole body of a request. Rejects with BodyTooLarge (before reading, when the length is announced), with
 * Overloaded when `held` has no room for it, or with BadRequest when the client broke off.
 */
export const readBody = async (request: Request, bytesMax: number, held?: HeldBytes): Promise<Uint8Array> => {
  const announced = announcedBytes(request, bytesMax)
  if (announced === undefined) {
    const pieces: Array<Uint8Array> = []
    await eachPiece(request, bytesMax, (piece) => {
      held?.take(piece.length)
      pieces.push(piece)
    })
    return Buffer.concat(pieces)
  }
  held?.take(announced)
  try {
    return await request.bytes()
  } catch {
    throw brokeOff()
  }
}

/** Gives the body to the sink in pieces. Rejects as `readBody` does, and with what the sink rejects with. */
export const readPieces = async (request: Request, bytesMax: number, sink: BodySink): Promise<void> => {
  const announced = announcedBytes(request, bytesMax)
  if (announced !== undefined) await sink.announce(announced)
  await eachPiece(request, bytesMax, (piece) => sink.take(piece, announced !== undefined))
}

const announcedBytes = (request: Request, bytesMax: number): number | undefined => {
  const announced = request.headers.get("content-length")
  if (announced === null) return undefined
  // A length that is sent twice comes as "3, 3"; even where both are the same, it is no length to count on.
  if (!/^\d+$/.test(announced)) throw new BadRequest({ message: "content-length is not a number" })
  if (Number(announced) > bytesMax) throw tooLarge(bytesMax)
  return Number(announced)
}

const eachPiece = async (
  request: Request,
  bytesMax: number,
  take: (piece: Uint8Array) => Promise<void> | void
): Promise<void> => {
  if (request.body === null) return
  const reader = request.body.getReader()
  let length = 0
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      length += next.value.byteLength
      if (length > bytesMax) throw tooLarge(bytesMax)
      await take(next.value)
    }
  } catch (cause) {
    reader.cancel().catch(() => {})
    throw cause instanceof GatewayError ? cause : brokeOff()
  }
}

const brokeOff = () => new BadRequest({ message: "the request's body broke off" })

const tooLarge = (bytesMax: number): BodyTooLarge =>
  new BodyTooLarge({ message: `the request's body is larger than ${bytesMax} bytes, the limit of this gateway` })
