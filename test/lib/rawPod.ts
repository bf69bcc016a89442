import { dechunk, headEnd, headerOf, parseHead, type RawResponse } from "./rawHttp.ts"

/** A request as the pod received it. */
export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly headers: RawResponse["headers"]
  readonly body: Uint8Array
}

/** The pod's side of one connection. */
export interface PodConnection {
  /** Queues the bytes; they leave as fast as the other side reads. */
  readonly send: (bytes: Uint8Array | string) => void
  /** Closes once everything queued has left. */
  readonly end: () => void
  /** Resets the connection, whatever is still queued. */
  readonly reset: () => void
  /** Resolves when the connection is gone, whoever closed it. */
  readonly closed: Promise<void>
  /** Bytes that the kernel has taken so far. */
  readonly writtenBytes: () => number
}

export interface RawPodOptions {
  /** Bytes a write; undefined writes all there is. Small pieces try the reader of the other side. */
  readonly pieceBytes?: number | undefined
  /** False: requests come in, but nobody is at home. */
  readonly hears?: (request: SeenRequest) => boolean
}

export interface RawPod {
  readonly url: string
  readonly seen: ReadonlyArray<SeenRequest>
  readonly openConnections: () => number
  /** Closes the listener and every connection at once, as a killed process would. */
  readonly stop: () => void
}

interface Connection {
  received: Uint8Array
  out: Array<Uint8Array>
  ends: boolean
  written: number
  readonly closed: PromiseWithResolvers<void>
}

/** The first whole request in `bytes` and where the next begins; undefined while it is not all here. */
const takeRequest = (bytes: Uint8Array): { request: SeenRequest; endsAt: number } | undefined => {
  const end = headEnd(bytes)
  if (end < 0) return undefined
  const { firstLine, headers } = parseHead(bytes.subarray(0, end))
  const [method = "", path = ""] = firstLine.split(" ")
  const rest = bytes.subarray(end)
  if (headerOf(headers, "transfer-encoding")?.includes("chunked") === true) {
    const { body, complete, endsAt } = dechunk(rest)
    return complete ? { request: { method, path, headers, body: body.slice() }, endsAt: end + endsAt } : undefined
  }
  const length = Number(headerOf(headers, "content-length") ?? 0)
  if (rest.length < length) return undefined
  return { request: { method, path, headers, body: rest.slice(0, length) }, endsAt: end + length }
}

/** A pod on a plain socket: `onRequest` writes the answer byte for byte, head included. */
export const startRawPod = (
  onRequest: (request: SeenRequest, connection: PodConnection) => void,
  options: RawPodOptions = {}
): RawPod => {
  const seen: Array<SeenRequest> = []
  const open = new Set<Bun.Socket<Connection>>()
  const flush = (socket: Bun.Socket<Connection>): void => {
    const { data } = socket
    for (let next = data.out[0]; next !== undefined; next = data.out[0]) {
      const written = socket.write(next.subarray(0, options.pieceBytes ?? next.length))
      if (written <= 0) return
      data.written += written
      if (written < next.length) data.out[0] = next.subarray(written)
      else data.out.shift()
      if (options.pieceBytes !== undefined && data.out.length > 0) return void setImmediate(flush, socket)
    }
    if (data.ends) socket.end()
  }
  const connectionOf = (socket: Bun.Socket<Connection>): PodConnection => ({
    send: (bytes) => {
      const idle = socket.data.out.length === 0
      socket.data.out.push(typeof bytes === "string" ? Buffer.from(bytes) : bytes)
      if (idle) flush(socket)
    },
    end: () => {
      socket.data.ends = true
      if (socket.data.out.length === 0) socket.end()
    },
    reset: () => socket.terminate(),
    closed: socket.data.closed.promise,
    writtenBytes: () => socket.data.written
  })
  const server = Bun.listen<Connection>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => {
        socket.setNoDelay(true)
        socket.data = {
          received: new Uint8Array(0),
          out: [],
          ends: false,
          written: 0,
          closed: Promise.withResolvers<void>()
        }
        open.add(socket)
      },
      data: (socket, chunk) => {
        const { data } = socket
        data.received = Buffer.concat([data.received, chunk])
        for (let taken = takeRequest(data.received); taken !== undefined; taken = takeRequest(data.received)) {
          data.received = data.received.subarray(taken.endsAt)
          if (options.hears?.(taken.request) === false) continue
          seen.push(taken.request)
          onRequest(taken.request, connectionOf(socket))
        }
      },
      drain: flush,
      close: (socket) => {
        open.delete(socket)
        socket.data.closed.resolve()
      }
    }
  })
  return {
    url: `http://127.0.0.1:${server.port}`,
    seen,
    openConnections: () => open.size,
    stop: () => server.stop(true)
  }
}
