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
import type { ProcessingPart } from "./processingRequest.ts"
import {
  boolField,
  bytesField,
  messageBytes,
  messageField,
  numberField,
  type Pieces,
  textField
} from "./protoWriter.ts"
import { namespacedTexts } from "./structs.ts"

export type HeaderPair = readonly [name: string, value: string]

/** Envoy takes at most 64 KiB of a streamed body in one message; the rest is for what stands around it. */
export const streamedPieceBytesMax = 62 * 1024

const noBytes = new Uint8Array(0)

/** "Go on", said of each part. */
export const goOn: Readonly<Record<ProcessingPart["kind"], Buffer>> = {
  request_headers: messageBytes(messageField(Fields.request_headers, bytesField(HeadersResponse.response, noBytes))),
  response_headers: messageBytes(messageField(Fields.response_headers, bytesField(HeadersResponse.response, noBytes))),
  request_body: messageBytes(messageField(Fields.request_body, bytesField(BodyResponse.response, noBytes))),
  response_body: messageBytes(messageField(Fields.response_body, bytesField(BodyResponse.response, noBytes))),
  request_trailers: messageBytes(bytesField(Fields.request_trailers, noBytes)),
  response_trailers: messageBytes(bytesField(Fields.response_trailers, noBytes))
}

export interface RoutedRequest {
  /** What Envoy waits to hear of: the headers, or a buffered body. */
  readonly about: "request_headers" | "request_body"
  readonly headers: ReadonlyArray<HeaderPair>
  /** In the place of a buffered body. */
  readonly body?: Uint8Array | undefined
  /** Dynamic metadata, all under one namespace. */
  readonly metadataNamespace: string
  readonly metadata: Readonly<Record<string, string>>
}

/** Sends a request on with headers and dynamic metadata that say where to. */
export const routedResponse = (routed: RoutedRequest): Buffer => {
  const common = messageField(
    HeadersResponse.response,
    messageField(CommonResponse.header_mutation, ...routed.headers.map(setHeader)),
    ...(routed.body === undefined
      ? []
      : [messageField(CommonResponse.body_mutation, bytesField(BodyMutation.body, routed.body))]),
    boolField(CommonResponse.clear_route_cache, true)
  )
  return messageBytes(
    messageField(Fields[routed.about], common),
    namespacedTexts(Fields.dynamic_metadata, routed.metadataNamespace, routed.metadata)
  )
}

/** Answers to the response's headers; `watchBody` asks to see the body too: Envoys heed it that `allow_mode_override` and stream nothing in full duplex. */
export const answerHeadersResponse = (headers: ReadonlyArray<HeaderPair>, watchBody: boolean): Buffer => {
  if (headers.length === 0 && !watchBody) return goOn.response_headers
  const common = messageField(
    HeadersResponse.response,
    ...(headers.length === 0 ? [] : [messageField(CommonResponse.header_mutation, ...headers.map(setHeader))])
  )
  const answer = messageField(Fields.response_headers, common)
  return watchBody ? messageBytes(answer, modeOverride) : messageBytes(answer)
}

const headerSendModeSend = 1
const modeOverride: Pieces = messageField(
  Fields.mode_override,
  numberField(ProcessingMode.response_header_mode, headerSendModeSend),
  numberField(ProcessingMode.response_body_mode, BodySendMode.STREAMED),
  numberField(ProcessingMode.response_trailer_mode, headerSendModeSend)
)

/** Hands a body of a full duplex stream on, as messages that are each small enough. */
export const streamedBody = (
  kind: "request_body" | "response_body",
  body: Uint8Array,
  ends: boolean
): ReadonlyArray<Buffer> => {
  const messages: Array<Buffer> = []
  let at = 0
  do {
    const piece = body.subarray(at, at + streamedPieceBytesMax)
    at += piece.byteLength
    const last = at >= body.byteLength
    const streamed = messageField(
      BodyMutation.streamed_response,
      bytesField(StreamedBodyResponse.body, piece),
      boolField(StreamedBodyResponse.end_of_stream, ends && last)
    )
    messages.push(
      messageBytes(
        messageField(
          Fields[kind],
          messageField(BodyResponse.response, messageField(CommonResponse.body_mutation, streamed))
        )
      )
    )
  } while (at < body.byteLength)
  return messages
}

/** An answer to the client in place of a pod's. `details` go to Envoy's access log. */
export const immediateResponse = (
  status: number,
  headers: ReadonlyArray<HeaderPair>,
  body: string,
  details: string
): Buffer =>
  messageBytes(
    messageField(
      Fields.immediate_response,
      messageField(ImmediateResponse.status, numberField(HttpStatus.code, status)),
      messageField(ImmediateResponse.headers, ...headers.map(setHeader)),
      textField(ImmediateResponse.body, body),
      textField(ImmediateResponse.details, details)
    )
  )

/** Takes the place of what a client may have sent under the name. */
const setHeader = ([name, value]: HeaderPair): Pieces =>
  messageField(
    HeaderMutation.set_headers,
    messageField(
      HeaderValueOption.header,
      textField(HeaderValue.key, name),
      textField(HeaderValue.raw_value, value)
    ),
    numberField(HeaderValueOption.append_action, HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD)
  )
