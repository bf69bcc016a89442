import http2, { type ClientHttp2Session } from "node:http2"
import { type PodAddress, podAddress } from "../../src/core/Pod.ts"
import type { ExtProcListen, ExtProcOptions } from "../../src/extproc/ExtProcOptions.ts"
import { type ExtProcServer, serveExtProc } from "../../src/extproc/serveExtProc.ts"
import { RequestBytes } from "../../src/http/doors/RequestBytes.ts"
import { FeatureWorkshop } from "../../src/http/features/PromptFeatures.ts"
import type { FrontMetrics } from "../../src/http/FrontMetrics.ts"
import { frontDefaults, type FrontOptions } from "../../src/http/FrontOptions.ts"
import { ScriptedScheduler } from "../http/ScriptedScheduler.ts"
import { eventually } from "../lib/eventually.ts"
import { EnvoyStream, type GrpcClientCall, headerMap, type Headers } from "./EnvoyStream.ts"

export const pods: ReadonlyArray<PodAddress> = [8000, 8001, 8002].map((port) => podAddress("10.0.0.1", port, false))

export const shippedOptions: ExtProcOptions = {
  fallbacks: 2,
  messageBytesMax: 64 * 1024 * 1024,
  openStreamsMax: 16_384,
  pingEveryMs: 30_000,
  healthService: ""
}

interface TestPickerOptions {
  readonly options?: Partial<ExtProcOptions>
  readonly front?: Partial<FrontOptions>
  readonly listen?: Partial<ExtProcListen>
  readonly pods?: ReadonlyArray<PodAddress>
}

/** A picker over a scripted scheduler, with a connection to it. Stop it with `await using`. */
export class TestPicker implements AsyncDisposable {
  readonly scheduler: ScriptedScheduler
  /** Ends of requests as they are booked: route, status and outcome. */
  readonly booked: ReadonlyArray<string>
  readonly logged: ReadonlyArray<string>
  /** Of request bodies that wait for their end or their pod. */
  readonly heldBytes: () => number
  readonly server: ExtProcServer
  readonly session: ClientHttp2Session

  private constructor(
    scheduler: ScriptedScheduler,
    server: ExtProcServer,
    session: ClientHttp2Session,
    booked: ReadonlyArray<string>,
    logged: ReadonlyArray<string>,
    heldBytes: () => number
  ) {
    this.heldBytes = heldBytes
    this.scheduler = scheduler
    this.server = server
    this.session = session
    this.booked = booked
    this.logged = logged
  }

  static async start({ front, listen, options, pods: ofPicker = pods }: TestPickerOptions = {}): Promise<TestPicker> {
    const scheduler = new ScriptedScheduler(ofPicker)
    const booked: Array<string> = []
    const logged: Array<string> = []
    const requestBytes = new RequestBytes(
      "request_memory_full",
      () => front?.requestBytesMax ?? frontDefaults.requestBytesMax,
      () => 1
    )
    const server = await serveExtProc(
      { hostname: "127.0.0.1", port: 0, tls: undefined, healthPort: undefined, ...listen },
      {
        scheduler,
        options: { ...shippedOptions, ...options },
        front: { deps: { options: { ...frontDefaults, ...front } }, workshop: new FeatureWorkshop(16), requestBytes },
        metrics: metricsInto(booked),
        log: (message) => void logged.push(message)
      }
    )
    const session = listen?.tls === undefined
      ? http2.connect(`http://127.0.0.1:${server.port}`)
      : http2.connect(`https://127.0.0.1:${server.port}`, { rejectUnauthorized: false })
    session.on("error", () => {})
    return new TestPicker(scheduler, server, session, booked, logged, () => requestBytes.heldBytes)
  }

  open(): EnvoyStream {
    return new EnvoyStream(this.session)
  }

  /** Resolves when no request is open. */
  quiet(): Promise<void> {
    return eventually("no open request", () => this.server.openRequests() === 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.session.destroy()
    await this.server.stop(0)
  }
}

const metricsInto = (booked: Array<string>): FrontMetrics => ({
  requestStarted: () => {},
  requestEnded: (route, status, outcome) => void booked.push(`${route} ${status} ${outcome}`),
  firstByte: () => {},
  ttft: () => {},
  picked: () => {},
  retried: () => {},
  retryDenied: () => {},
  rescued: () => {},
  rescueDenied: () => {},
  podFailed: () => {},
  refused: ({ code }) => void booked.push(`told ${code}`),
  timedOut: () => {},
  tokens: () => {}
})

export const chatHeaders: Headers = {
  ":method": "POST",
  ":path": "/v1/chat/completions",
  ":authority": "gateway",
  "content-type": "application/json",
  "x-request-id": "r-1"
}

export const chatBody = (fields: object = {}): string =>
  JSON.stringify({ model: "m", messages: [{ role: "user", content: "Hello" }], ...fields })

export const fullDuplex = { requestBodyMode: "FULL_DUPLEX_STREAMED", responseBodyMode: "FULL_DUPLEX_STREAMED" }
export const bufferedUnseen = { requestBodyMode: "BUFFERED", responseBodyMode: "NONE" }
export const duplexUnseen = { requestBodyMode: "FULL_DUPLEX_STREAMED", responseBodyMode: "NONE" }

/** The request's headers and its body at once, as an Envoy in full duplex sends them. */
export const tellChat = (
  stream: EnvoyStream,
  body = chatBody(),
  protocolConfig: { readonly requestBodyMode: string; readonly responseBodyMode: string } = fullDuplex,
  headers: Headers = chatHeaders
): void => {
  stream.tell({ requestHeaders: { headers: headerMap(headers) }, protocolConfig })
  stream.tell({ requestBody: { body: Buffer.from(body).toString("base64"), endOfStream: true } })
}

/** The whole body that the picker hands on, from the message after the headers' to the one that ends it. */
export const heardBody = async (stream: EnvoyStream): Promise<Buffer> => {
  const pieces: Array<Buffer> = []
  for (;;) {
    const { body, ends } = (await stream.hear()).streamed
    pieces.push(body)
    if (ends) return Buffer.concat(pieces)
  }
}

export const closed = (call: GrpcClientCall): Promise<void> => new Promise((done) => call.stream.once("close", done))
