import { readdirSync, readFileSync } from "node:fs"
import { dechunk, headEnd, headerOf, parseHead, parseResponse, type RawResponse } from "./rawHttp.ts"

/** One recorded exchange with vLLM; see the README beside the fixtures. */
export interface RecordedExchange {
  readonly name: string
  readonly method: string
  readonly path: string
  readonly contentType: string | undefined
  readonly requestBody: Uint8Array | undefined
  /** Status line, headers and body framing, byte for byte. */
  readonly raw: Uint8Array
  readonly response: RawResponse
}

interface RequestFile {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
  readonly raw_body: string | null
}

const fixturesDir = new URL("../fixtures/vllm-http/", import.meta.url).pathname

const requestBodyOf = (file: RequestFile): Uint8Array | undefined => {
  if (file.raw_body !== null) return new TextEncoder().encode(file.raw_body)
  return file.body === null ? undefined : new TextEncoder().encode(JSON.stringify(file.body))
}

/** Every exchange that has both its request and its answer, by name. */
export const recordedExchanges = (): ReadonlyArray<RecordedExchange> =>
  readdirSync(fixturesDir).filter((file) => file.endsWith(".res.raw")).sort().map((file) => {
    const name = file.slice(0, -".res.raw".length)
    const request = JSON.parse(readFileSync(`${fixturesDir}${name}.req.json`, "utf8")) as RequestFile
    const raw = new Uint8Array(readFileSync(`${fixturesDir}${file}`))
    const response = parseResponse(raw, request.method, true)
    if (response === undefined) throw new Error(`${file} holds no whole answer`)
    return {
      name,
      method: request.method,
      path: request.path,
      contentType: request.headers["content-type"],
      requestBody: requestBodyOf(request),
      raw,
      response
    }
  })

/** A request as the recorded pod received it. */
export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly headers: RawResponse["headers"]
  readonly body: Uint8Array
}

export interface RecordedPodOptions {
  /** Bytes a write; undefined writes an answer at once. Small pieces try the reader of the other side. */
  readonly pieceBytes?: number | undefined
  /** Leaves the recorder's `connection: close` out, so that the connection is used again. */
  readonly keepAlive?: boolean | undefined
}

export interface RecordedPod {
  readonly url: string
  readonly seen: ReadonlyArray<SeenRequest>
  readonly stop: () => void
}

/** The header by which a test names the exchange that it wants replayed. */
export const exchangeHeader = "x-recorded-exchange"

const withoutClose = (raw: Uint8Array): Uint8Array => {
  const end = headEnd(raw)
  const head = Buffer.from(raw.subarray(0, end)).toString("latin1").replace("connection: close\r\n", "")
  return Buffer.concat([Buffer.from(head, "latin1"), raw.subarray(end)])
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

interface Connection {
  received: Uint8Array
  out: Uint8Array
  closes: boolean
}

/**
 * Replays the recorded bytes on a plain socket. A request names its exchange in `x-recorded-exchange`; one without it
 * (a probe of the gateway) gets the first exchange of that method and path, or a bare 404.
 */
export const startRecordedPod = (options: RecordedPodOptions = {}): RecordedPod => {
  const exchanges = recordedExchanges()
  const byName = new Map(exchanges.map((exchange) => [exchange.name, exchange]))
  const seen: Array<SeenRequest> = []
  const answerTo = (request: SeenRequest): Uint8Array => {
    const name = headerOf(request.headers, exchangeHeader)
    const exchange = name === undefined
      ? exchanges.find((each) => each.method === request.method && each.path === request.path)
      : byName.get(name)
    return exchange?.raw ?? Buffer.from("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
  }
  const flush = (socket: Bun.Socket<Connection>): void => {
    const { data } = socket
    while (data.out.length > 0) {
      const written = socket.write(data.out.subarray(0, options.pieceBytes ?? data.out.length))
      if (written <= 0) return
      data.out = data.out.subarray(written)
      if (options.pieceBytes !== undefined && data.out.length > 0) return void setImmediate(flush, socket)
    }
    if (data.closes) socket.end()
  }
  const server = Bun.listen<Connection>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => {
        socket.setNoDelay(true)
        socket.data = { received: new Uint8Array(0), out: new Uint8Array(0), closes: false }
      },
      data: (socket, chunk) => {
        const { data } = socket
        data.received = Buffer.concat([data.received, chunk])
        for (let taken = takeRequest(data.received); taken !== undefined; taken = takeRequest(data.received)) {
          data.received = data.received.subarray(taken.endsAt)
          seen.push(taken.request)
          const raw = answerTo(taken.request)
          const complete = parseResponse(raw, taken.request.method, true)?.complete === true
          data.closes = options.keepAlive !== true || !complete
          data.out = Buffer.concat([data.out, options.keepAlive === true ? withoutClose(raw) : raw])
          flush(socket)
        }
      },
      drain: flush
    }
  })
  return { url: `http://127.0.0.1:${server.port}`, seen, stop: () => server.stop(true) }
}
