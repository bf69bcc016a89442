import {
  BodyMutation,
  BodyResponse,
  BodySendMode,
  CommonResponse,
  HeaderAppendAction,
  HeaderMutation,
  HeadersResponse,
  HeaderValue,
  HeaderValueOption,
  HttpStatus,
  ImmediateResponse,
  ProcessingMode,
  ProcessingResponse as Fields,
  StreamedBodyResponse
} from "./envoyFields.ts"
import { FrameWriter } from "./FrameWriter.ts"
import type { ProcessingPart } from "./processingRequest.ts"
import { namespacedTexts } from "./structs.ts"

export type HeaderPair = readonly [name: string, value: string]

/** Envoy takes at most 64 KiB of a streamed body in one message; the rest is for what stands around it. */
const streamedPieceBytesMax = 62 * 1024

const noBytes = new Uint8Array(0)

/** The functions below write whole gRPC frames; fields come last first, as the writer wants it. */
const oneFrame = (write: (writer: FrameWriter) => void): Buffer => {
  const writer = new FrameWriter()
  write(writer)
  writer.frame(0)
  return writer.take()
}

const plain = (field: number, responseField: number): Buffer =>
  oneFrame((writer) => {
    writer.bytes(responseField, noBytes)
    writer.message(field, 0)
  })

/** "Go on", said of each part. */
export const goOn: Readonly<Record<ProcessingPart["kind"], Buffer>> = {
  request_headers: plain(Fields.request_headers, HeadersResponse.response),
  response_headers: plain(Fields.response_headers, HeadersResponse.response),
  request_body: plain(Fields.request_body, BodyResponse.response),
  response_body: plain(Fields.response_body, BodyResponse.response),
  request_trailers: oneFrame((writer) => writer.bytes(Fields.request_trailers, noBytes)),
  response_trailers: oneFrame((writer) => writer.bytes(Fields.response_trailers, noBytes))
}

/** Where a request goes: headers and dynamic metadata, all of it under one namespace. */
export interface Routing {
  readonly headers: ReadonlyArray<HeaderPair>
  /** Names of the client's headers that go no further. */
  readonly removed: ReadonlyArray<string>
  readonly metadataNamespace: string
  readonly metadata: Readonly<Record<string, string>>
}

/** Sends a buffered request on, with another body if there is one. */
export const routedBuffered = (writer: FrameWriter, routing: Routing, body: Uint8Array | undefined): Buffer => {
  writeRouted(writer, Fields.request_body, routing, body)
  return writer.take()
}

/** Sends a request on by its headers, behind them the streamed body in pieces that are each small enough, if any. */
export const routedStreamed = (
  writer: FrameWriter,
  routing: Routing,
  body: Uint8Array | undefined,
  bodyEnds: boolean
): Buffer => {
  if (body !== undefined) writeStreamed(writer, Fields.request_body, body, bodyEnds)
  writeRouted(writer, Fields.request_headers, routing, undefined)
  return writer.take()
}

/** Hands a piece of the answer on, in full duplex. */
export const streamedAnswer = (writer: FrameWriter, body: Uint8Array, ends: boolean): Buffer => {
  writeStreamed(writer, Fields.response_body, body, ends)
  return writer.take()
}

/** Puts other bytes in the place of a piece of the answer, in streamed mode. */
export const changedAnswer = (writer: FrameWriter, body: Uint8Array): Buffer => {
  writer.bytes(BodyMutation.body, body)
  writer.message(CommonResponse.body_mutation, 0)
  writer.message(BodyResponse.response, 0)
  writer.message(Fields.response_body, 0)
  writer.frame(0)
  return writer.take()
}

export interface AnswerWishes {
  readonly headers: ReadonlyArray<HeaderPair>
  /** The body will have another length. */
  readonly dropLength: boolean
  /** To see the body too: Envoys heed it that `allow_mode_override` and stream nothing in full duplex. */
  readonly watchBody: boolean
}

/** Answers to the response's headers. */
export const answerHeadersResponse = (
  writer: FrameWriter,
  { dropLength, headers, watchBody }: AnswerWishes
): Buffer => {
  if (headers.length === 0 && !dropLength && !watchBody) return goOn.response_headers
  if (watchBody) {
    writer.number(ProcessingMode.response_trailer_mode, headerSendModeSend)
    writer.number(ProcessingMode.response_body_mode, BodySendMode.STREAMED)
    writer.number(ProcessingMode.response_header_mode, headerSendModeSend)
    writer.message(Fields.mode_override, 0)
  }
  const before = writer.size
  if (dropLength) writer.text(HeaderMutation.remove_headers, "content-length")
  for (const header of headers) writeSetHeader(writer, header)
  if (dropLength || headers.length > 0) writer.message(CommonResponse.header_mutation, before)
  writer.message(HeadersResponse.response, before)
  writer.message(Fields.response_headers, before)
  writer.frame(0)
  return writer.take()
}

const headerSendModeSend = 1

/** An answer to the client in place of a pod's. `details` go to Envoy's access log. */
export const immediateResponse = (
  writer: FrameWriter,
  status: number,
  headers: ReadonlyArray<HeaderPair>,
  body: string,
  details: string
): Buffer => {
  writer.text(ImmediateResponse.details, details)
  writer.text(ImmediateResponse.body, body)
  const beforeHeaders = writer.size
  for (const header of headers.toReversed()) writeSetHeader(writer, header)
  writer.message(ImmediateResponse.headers, beforeHeaders)
  const beforeStatus = writer.size
  writer.number(HttpStatus.code, status)
  writer.message(ImmediateResponse.status, beforeStatus)
  writer.message(Fields.immediate_response, 0)
  writer.frame(0)
  return writer.take()
}

const writeRouted = (
  writer: FrameWriter,
  about: number,
  { headers, metadata, metadataNamespace, removed }: Routing,
  body: Uint8Array | undefined
): void => {
  const before = writer.size
  namespacedTexts(writer, Fields.dynamic_metadata, metadataNamespace, metadata)
  const beforeCommon = writer.size
  writer.bool(CommonResponse.clear_route_cache, true)
  if (body !== undefined) {
    const beforeBody = writer.size
    writer.bytes(BodyMutation.body, body)
    writer.message(CommonResponse.body_mutation, beforeBody)
  }
  const beforeHeaders = writer.size
  for (const name of removed) writer.text(HeaderMutation.remove_headers, name)
  for (let i = headers.length - 1; i >= 0; i--) {
    const header = headers[i]
    if (header !== undefined) writeSetHeader(writer, header)
  }
  writer.message(CommonResponse.header_mutation, beforeHeaders)
  writer.message(HeadersResponse.response, beforeCommon)
  writer.message(about, beforeCommon)
  writer.frame(before)
}

const writeStreamed = (writer: FrameWriter, about: number, body: Uint8Array, ends: boolean): void => {
  const pieces = Math.max(1, Math.ceil(body.byteLength / streamedPieceBytesMax))
  for (let piece = pieces - 1; piece >= 0; piece--) {
    const before = writer.size
    const at = piece * streamedPieceBytesMax
    if (ends && piece === pieces - 1) writer.bool(StreamedBodyResponse.end_of_stream, true)
    writer.bytes(StreamedBodyResponse.body, body.subarray(at, at + streamedPieceBytesMax))
    writer.message(BodyMutation.streamed_response, before)
    writer.message(CommonResponse.body_mutation, before)
    writer.message(BodyResponse.response, before)
    writer.message(about, before)
    writer.frame(before)
  }
}

/** Takes the place of what a client may have sent under the name. */
const writeSetHeader = (writer: FrameWriter, [name, value]: HeaderPair): void => {
  const before = writer.size
  writer.number(HeaderValueOption.append_action, HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD)
  const beforeHeader = writer.size
  writer.text(HeaderValue.raw_value, value)
  writer.text(HeaderValue.key, name)
  writer.message(HeaderValueOption.header, beforeHeader)
  writer.message(HeaderMutation.set_headers, before)
}
