import { fromBinary, fromJson, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf"
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from "node:http2"
import { messageType } from "./protos/envoyTypes.ts"

const requestType = messageType("envoy.service.ext_proc.v3.ProcessingRequest")
const responseType = messageType("envoy.service.ext_proc.v3.ProcessingResponse")

const prefixBytes = 5

/** A message with gRPC's prefix. */
export const grpcFrame = (message: Uint8Array, compressed = false): Buffer => {
  const frame = Buffer.alloc(prefixBytes + message.length)
  frame[0] = compressed ? 1 : 0
  frame.writeUInt32BE(message.length, 1)
  frame.set(message, prefixBytes)
  return frame
}

export interface GrpcEnd {
  readonly status: number
  readonly message: string
}

/** One gRPC call as a client makes it, message by message. */
export class GrpcClientCall {
  readonly stream: ClientHttp2Stream
  /** How the call ended; rejects when the stream was reset. */
  readonly end: Promise<GrpcEnd>
  private readonly received: Array<Buffer> = []
  private readonly waiting: Array<PromiseWithResolvers<Buffer>> = []
  private rest = Buffer.alloc(0)
  private over = false

  constructor(session: ClientHttp2Session, path: string) {
    this.stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers"
    })
    this.stream.on("data", (chunk: Buffer) => this.take(chunk))
    const end = Promise.withResolvers<GrpcEnd>()
    this.end = end.promise
    end.promise.catch(() => {})
    const ended = (headers: http2.IncomingHttpHeaders) => {
      if (headers["grpc-status"] === undefined) return
      const message = decodeURIComponent(String(headers["grpc-message"] ?? ""))
      end.resolve({ status: Number(headers["grpc-status"]), message })
    }
    this.stream.on("response", ended)
    this.stream.on("trailers", ended)
    this.stream.on("error", (cause) => end.reject(cause))
    this.stream.on("close", () => {
      end.reject(new Error("the call ended without a status"))
      this.over = true
      for (const waiting of this.waiting.splice(0)) waiting.reject(new Error("the call ended"))
    })
  }

  sendBytes(bytes: Uint8Array): void {
    this.stream.write(bytes)
  }

  send(message: Uint8Array): void {
    this.stream.write(grpcFrame(message))
  }

  /** The next message; rejects when the call ends before. */
  nextMessage(): Promise<Buffer> {
    const received = this.received.shift()
    if (received !== undefined) return Promise.resolve(received)
    if (this.over) return Promise.reject(new Error("the call ended"))
    const waiting = Promise.withResolvers<Buffer>()
    this.waiting.push(waiting)
    return waiting.promise
  }

  /** Nothing more comes from here, as Envoy closes a stream that is through. */
  halfClose(): void {
    this.stream.end()
  }

  /** As Envoy does when its client is gone. */
  reset(): void {
    this.stream.close(http2.constants.NGHTTP2_CANCEL)
  }

  private take(chunk: Buffer): void {
    this.rest = Buffer.concat([this.rest, chunk])
    while (this.rest.length >= prefixBytes) {
      const end = prefixBytes + this.rest.readUInt32BE(1)
      if (this.rest.length < end) return
      const message = this.rest.subarray(prefixBytes, end)
      this.rest = this.rest.subarray(end)
      const waiting = this.waiting.shift()
      if (waiting === undefined) this.received.push(message)
      else waiting.resolve(message)
    }
  }
}

/** A message in protobuf's JSON form, where bytes are base64. */
type Json = { readonly [name: string]: JsonValue }

export type Headers = Readonly<Record<string, string>>

/** Envoy's side of the external processor, written with the published types. */
export class EnvoyStream extends GrpcClientCall {
  constructor(session: ClientHttp2Session) {
    super(session, "/envoy.service.ext_proc.v3.ExternalProcessor/Process")
  }

  tell(request: Json): void {
    this.send(processingRequestBytes(request))
  }

  async hear(): Promise<HeardResponse> {
    return heard(await this.nextMessage())
  }
}

const heard = (message: Uint8Array) =>
  new HeardResponse(toJson(responseType, fromBinary(responseType, message)) as Json)

/** Every response in bytes that are whole gRPC frames. */
export const heardFrames = (bytes: Buffer): ReadonlyArray<HeardResponse> => {
  if (bytes.length === 0) return []
  const end = prefixBytes + bytes.readUInt32BE(1)
  return [heard(bytes.subarray(prefixBytes, end)), ...heardFrames(bytes.subarray(end))]
}

export const processingRequestBytes = (request: Json): Uint8Array =>
  toBinary(requestType, fromJson(requestType, request))

export const base64 = (bytes: string | Uint8Array): string => Buffer.from(bytes).toString("base64")

/** Headers as Envoy writes them since it prefers raw values. */
export const headerMap = (headers: Headers): Json => ({
  headers: Object.entries(headers).map(([key, value]) => ({ key, rawValue: base64(value) }))
})

/** A field deep in a message, by its names; undefined where one of them is missing. */
const at = (value: JsonValue | undefined, ...names: ReadonlyArray<string>): JsonValue | undefined => {
  let found = value
  for (const name of names) {
    if (typeof found !== "object" || found === null || Array.isArray(found)) return undefined
    found = (found as Json)[name]
  }
  return found
}

const bytesAt = (value: JsonValue | undefined): Buffer =>
  typeof value === "string" ? Buffer.from(value, "base64") : Buffer.alloc(0)

/** A response of the picker's as the published types read it. */
export class HeardResponse {
  readonly json: Json

  constructor(json: Json) {
    this.json = json
  }

  /** Which part it answers, such as `requestHeaders`. */
  get about(): string {
    return Object.keys(this.json).find((name) => name !== "dynamicMetadata" && name !== "modeOverride") ?? ""
  }

  private get common(): JsonValue | undefined {
    return at(this.json, this.about, "response")
  }

  get headers(): ReadonlyMap<string, string> {
    const mutation = this.about === "immediateResponse"
      ? at(this.json, "immediateResponse", "headers", "setHeaders")
      : at(this.common, "headerMutation", "setHeaders")
    const options = Array.isArray(mutation) ? mutation : []
    return new Map(options.map((option) => [
      String(at(option, "header", "key") ?? ""),
      bytesAt(at(option, "header", "rawValue")).toString()
    ]))
  }

  /** The client's headers that Envoy takes off. */
  get removedHeaders(): ReadonlyArray<string> {
    const names = at(this.common, "headerMutation", "removeHeaders")
    return Array.isArray(names) ? names.map(String) : []
  }

  get destination(): string | undefined {
    return this.headers.get("x-gateway-destination-endpoint")
  }

  get metadata(): JsonValue | undefined {
    return at(this.json, "dynamicMetadata", "envoy.lb")
  }

  get clearsRouteCache(): boolean {
    return at(this.common, "clearRouteCache") === true
  }

  /** Of a body that is handed on in pieces. */
  get streamed(): { readonly body: Buffer; readonly ends: boolean } {
    const streamed = at(this.common, "bodyMutation", "streamedResponse")
    return { body: bytesAt(at(streamed, "body")), ends: at(streamed, "endOfStream") === true }
  }

  get replacedBody(): Buffer | undefined {
    const body = at(this.common, "bodyMutation", "body")
    return body === undefined ? undefined : bytesAt(body)
  }

  get status(): JsonValue | undefined {
    return at(this.json, "immediateResponse", "status", "code")
  }

  get immediateBody(): string {
    return bytesAt(at(this.json, "immediateResponse", "body")).toString()
  }
}
