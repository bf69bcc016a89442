import { BadRequest, BodyTooLarge } from "../errors.ts"

/**
 * The whole body of a request. Rejects with BodyTooLarge (before reading, when the length is announced) or with
 * BadRequest when the client broke off.
 */
export const readBody = async (request: Request, bytesMax: number): Promise<Uint8Array> => {
  const announced = request.headers.get("content-length")
  if (announced !== null && Number(announced) > bytesMax) throw tooLarge(bytesMax)
  try {
    return await (announced === null ? readCounted(request, bytesMax) : request.bytes())
  } catch (cause) {
    throw cause instanceof BodyTooLarge ? cause : new BadRequest({ message: "the request's body broke off" })
  }
}

const readCounted = async (request: Request, bytesMax: number): Promise<Uint8Array> => {
  if (request.body === null) return new Uint8Array(0)
  const pieces: Array<Uint8Array> = []
  let length = 0
  const reader = request.body.getReader()
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    length += next.value.byteLength
    if (length > bytesMax) {
      reader.cancel().catch(() => {})
      throw tooLarge(bytesMax)
    }
    pieces.push(next.value)
  }
  return Buffer.concat(pieces)
}

const tooLarge = (bytesMax: number): BodyTooLarge =>
  new BodyTooLarge({ message: `the request's body is larger than ${bytesMax} bytes, the limit of this gateway` })
