/** One answer as it came off the socket, so that tests can compare bytes and not a client's reading of them. */
export interface RawResponse {
  readonly status: number
  readonly reason: string
  /** Names in lower case, order and duplicates kept. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  /** Without the chunk framing. */
  readonly body: Uint8Array
  /** False when the connection ended before the framing said that the body does. */
  readonly complete: boolean
}

export interface RawRequest {
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string | undefined
}

/** The body as text. */
export const textOf = (response: Pick<RawResponse, "body">): string => new TextDecoder().decode(response.body)

const encoder = new TextEncoder()
const decoder = new TextDecoder("latin1")

/** Index just past the blank line that ends a head, or -1 while it is not all here. */
export const headEnd = (bytes: Uint8Array): number => {
  for (let i = 3; i < bytes.length; i++) {
    if (bytes[i] === 10 && bytes[i - 1] === 13 && bytes[i - 2] === 10 && bytes[i - 3] === 13) return i + 1
  }
  return -1
}

/** The first line and the header fields of a head. */
export const parseHead = (head: Uint8Array): { firstLine: string; headers: Array<readonly [string, string]> } => {
  const [firstLine = "", ...lines] = decoder.decode(head).split("\r\n")
  const headers: Array<readonly [string, string]> = []
  for (const line of lines) {
    const colon = line.indexOf(":")
    if (colon > 0) headers.push([line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()])
  }
  return { firstLine, headers }
}

export const headerOf = (headers: RawResponse["headers"], name: string): string | undefined =>
  headers.find(([key]) => key === name)?.[1]

/** Takes the chunk framing off. `complete` tells whether the last chunk was there. */
export const dechunk = (bytes: Uint8Array): { body: Uint8Array; complete: boolean; endsAt: number } => {
  const parts: Array<Uint8Array> = []
  let at = 0
  for (;;) {
    let lineEnd = at
    while (lineEnd < bytes.length && bytes[lineEnd] !== 10) lineEnd++
    if (lineEnd >= bytes.length) return { body: Buffer.concat(parts), complete: false, endsAt: bytes.length }
    const size = Number.parseInt(decoder.decode(bytes.subarray(at, lineEnd)), 16)
    if (Number.isNaN(size)) throw new Error(`no chunk size at byte ${at}`)
    if (size === 0) {
      const endsAt = lineEnd + 3
      return { body: Buffer.concat(parts), complete: endsAt <= bytes.length, endsAt }
    }
    const start = lineEnd + 1
    parts.push(bytes.subarray(start, Math.min(start + size, bytes.length)))
    if (start + size + 2 > bytes.length) {
      return { body: Buffer.concat(parts), complete: false, endsAt: bytes.length }
    }
    at = start + size + 2
  }
}

/** Takes a whole answer apart; `ended` says that the connection is closed, so nothing more will come. */
export const parseResponse = (bytes: Uint8Array, method: string, ended: boolean): RawResponse | undefined => {
  const end = headEnd(bytes)
  if (end < 0) {
    if (ended) throw new Error(`connection closed after ${bytes.length} bytes, before the head was whole`)
    return undefined
  }
  const { firstLine, headers } = parseHead(bytes.subarray(0, end))
  const status = Number(firstLine.split(" ")[1])
  const reason = firstLine.split(" ").slice(2).join(" ")
  const rest = bytes.subarray(end)
  const answer = (body: Uint8Array, complete: boolean): RawResponse | undefined =>
    complete || ended ? { status, reason, headers, body: body.slice(), complete } : undefined
  if (method === "HEAD" || status === 204 || status === 304) return answer(new Uint8Array(0), true)
  if (headerOf(headers, "transfer-encoding")?.includes("chunked") === true) {
    const { body, complete } = dechunk(rest)
    return answer(body, complete)
  }
  const length = headerOf(headers, "content-length")
  if (length === undefined) return answer(rest, ended)
  return answer(rest.subarray(0, Number(length)), rest.length >= Number(length))
}

/** Sends one request on a connection of its own and resolves with the answer. */
export const rawRequest = async (url: string, request: RawRequest): Promise<RawResponse> => {
  const { hostname, port } = new URL(url)
  const body = typeof request.body === "string" ? encoder.encode(request.body) : request.body
  const lines = [`${request.method} ${request.path} HTTP/1.1`, `host: ${hostname}:${port}`, "connection: close"]
  for (const [name, value] of Object.entries(request.headers ?? {})) lines.push(`${name}: ${value}`)
  if (body !== undefined) lines.push(`content-length: ${body.length}`)
  const out = Buffer.concat([encoder.encode(`${lines.join("\r\n")}\r\n\r\n`), body ?? new Uint8Array(0)])
  const answer = Promise.withResolvers<RawResponse>()
  const received: Array<Uint8Array> = []
  let written = 0
  const settle = (ended: boolean): boolean => {
    try {
      const response = parseResponse(Buffer.concat(received), request.method, ended)
      if (response !== undefined) answer.resolve(response)
      return response !== undefined
    } catch (error) {
      answer.reject(error)
      return true
    }
  }
  await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      open: (socket) => void (written += socket.write(out)),
      drain: (socket) => void (written += socket.write(out.subarray(written))),
      data: (socket, data) => {
        received.push(data.slice())
        if (settle(false)) socket.end()
      },
      close: () => void settle(true),
      error: (_socket, error) => answer.reject(error)
    }
  })
  return answer.promise
}
