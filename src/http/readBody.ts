import { BadRequest, BodyTooLarge, Overloaded } from "../errors.ts"
import type { HeldBytes } from "./doors/RequestBytes.ts"

/**
 * The whole body of a request. Rejects with BodyTooLarge (before reading, when the length is announced), with
 * Overloaded when `held` has no room for it, or with BadRequest when the client broke off.
 */
export const readBody = async (request: Request, bytesMax: number, held?: HeldBytes): Promise<Uint8Array> => {
  const announced = request.headers.get("content-length")
  // A length that is sent twice comes as "3, 3"; even where both are the same, it is no length to count on.
  if (announced !== null && !/^\d+$/.test(announced)) {
    throw new BadRequest({ message: "content-length is not a number" })
  }
  if (announced !== null && Number(announced) > bytesMax) throw tooLarge(bytesMax)
  try {
    if (announced === null) return await readCounted(request, bytesMax, held)
    held?.take(Number(announced))
    return await request.bytes()
  } catch (cause) {
    if (cause instanceof BodyTooLarge || cause instanceof Overloaded) throw cause
    throw new BadRequest({ message: "the request's body broke off" })
  }
}

const readCounted = async (request: Request, bytesMax: number, held: HeldBytes | undefined): Promise<Uint8Array> => {
  if (request.body === null) return new Uint8Array(0)
  const pieces: Array<Uint8Array> = []
  let length = 0
  const reader = request.body.getReader()
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      length += next.value.byteLength
      if (length > bytesMax) throw tooLarge(bytesMax)
      held?.take(next.value.byteLength)
      pieces.push(next.value)
    }
  } catch (cause) {
    reader.cancel().catch(() => {})
    throw cause
  }
  return Buffer.concat(pieces)
}

const tooLarge = (bytesMax: number): BodyTooLarge =>
  new BodyTooLarge({ message: `the request's body is larger than ${bytesMax} bytes, the limit of this gateway` })
