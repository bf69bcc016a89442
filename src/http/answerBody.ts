import type { ResponseHead } from "./upstream/UpstreamRequest.ts"

export const isEventStream = (head: ResponseHead): boolean => {
  for (let i = 0; i < head.headers.length; i += 2) {
    if (head.headers[i]?.toLowerCase() === "content-type") {
      return head.headers[i + 1]?.startsWith("text/event-stream") === true
    }
  }
  return false
}

/** The pieces come from sockets, so no shared memory is behind them, as the type demands. */
export const wholeBody = (pieces: ReadonlyArray<Uint8Array> | undefined): BodyInit | null => {
  if (pieces === undefined) return null
  return (pieces.length === 1 ? pieces[0] : Buffer.concat(pieces)) as Uint8Array<ArrayBuffer>
}

export const isLonger = (pieces: ReadonlyArray<Uint8Array>, bytesMax: number): boolean => {
  let length = 0
  for (const piece of pieces) length += piece.length
  return length > bytesMax
}

/** The types of the web's streams do not know Bun's direct ones. */
export const directStream = (source: Bun.DirectUnderlyingSource): ReadableStream =>
  new ReadableStream(source as unknown as UnderlyingDefaultSource)

/**
 * Rejecting a direct stream resets the client's connection: all that is left to tell that this is not the end.
 * Bun prints whatever reason there is, so there is none.
 */
export const breakOff = undefined
