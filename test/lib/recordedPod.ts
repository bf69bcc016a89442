import { readdirSync, readFileSync } from "node:fs"
import { headEnd, headerOf, parseResponse, type RawResponse } from "./rawHttp.ts"
import { type PodConnection, type RawPod, type RawPodOptions, type SeenRequest, startRawPod } from "./rawPod.ts"

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

/** The header by which a test names the exchange that it wants replayed. */
export const exchangeHeader = "x-recorded-exchange"

export interface RecordedPodOptions extends RawPodOptions {
  /** Leaves the recorder's `connection: close` out, so that the connection is used again. */
  readonly keepAlive?: boolean | undefined
}

const withoutClose = (raw: Uint8Array): Uint8Array => {
  const end = headEnd(raw)
  const head = Buffer.from(raw.subarray(0, end)).toString("latin1").replace("connection: close\r\n", "")
  return Buffer.concat([Buffer.from(head, "latin1"), raw.subarray(end)])
}

const notFound = Buffer.from("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")

/** What a gateway's probe gets: the first recorded exchange of that method and path, or a bare 404. */
const probeAnswers = (exchanges: ReadonlyArray<RecordedExchange>) => (request: SeenRequest): Uint8Array => {
  const exchange = exchanges.find((each) => each.method === request.method && each.path === request.path)
  return exchange === undefined ? notFound : withoutClose(exchange.raw)
}

/** Replays the recorded bytes on a plain socket. A request names its exchange in `x-recorded-exchange`. */
export const startRecordedPod = (options: RecordedPodOptions = {}): RawPod => {
  const exchanges = recordedExchanges()
  const byName = new Map(exchanges.map((exchange) => [exchange.name, exchange]))
  const probed = probeAnswers(exchanges)
  return startRawPod((request, connection) => {
    const exchange = byName.get(headerOf(request.headers, exchangeHeader) ?? "")
    if (exchange === undefined) return connection.send(probed(request))
    connection.send(options.keepAlive === true ? withoutClose(exchange.raw) : exchange.raw)
    if (options.keepAlive !== true || !exchange.response.complete) connection.end()
  }, options)
}

/** A pod that looks healthy to probes (recorded answers, model `tiny`) and leaves every POST to the test. */
export const startScriptedPod = (
  onPost: (request: SeenRequest, connection: PodConnection) => void,
  options: RawPodOptions = {}
): RawPod => {
  const probed = probeAnswers(recordedExchanges())
  return startRawPod((request, connection) => {
    if (request.method === "POST") onPost(request, connection)
    else connection.send(probed(request))
  }, options)
}
