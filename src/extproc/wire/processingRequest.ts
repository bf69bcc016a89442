import {
  HeaderMap,
  HeaderValue,
  HttpBody,
  HttpHeaders,
  Metadata,
  ProcessingRequest as Fields,
  ProtocolConfiguration
} from "./envoyFields.ts"
import { HeaderList } from "./HeaderList.ts"
import { MalformedMessage, ProtoReader } from "./ProtoReader.ts"
import { mapEntry, readStruct, type StructObject } from "./structs.ts"

/** What Envoy tells of one HTTP request, piece by piece. */
export type ProcessingPart =
  | { readonly kind: "request_headers" | "response_headers"; readonly headers: HeaderList; readonly ends: boolean }
  | { readonly kind: "request_body" | "response_body"; readonly body: Buffer; readonly ends: boolean }
  | { readonly kind: "request_trailers" | "response_trailers" }

/** Numbers of `ProcessingMode.BodySendMode`. */
export interface BodyModes {
  readonly request: number
  readonly response: number
}

/** One message of Envoy's. `Body` views point into the message's bytes. */
export interface ProcessingRequest {
  readonly part: ProcessingPart
  /** Only on the first message of a stream, and not from Envoys before 1.33. */
  readonly modes: BodyModes | undefined
  /** Filter metadata by namespace, as far as the filter forwards any. */
  readonly metadata: ReadonlyMap<string, StructObject> | undefined
  /** Request and response attributes that the filter is set to send, by the name of the filter. */
  readonly attributes: ReadonlyMap<string, StructObject> | undefined
  /** Envoy does not wait for answers and ignores them. */
  readonly observed: boolean
}

/** Reads what the picker needs of a `ProcessingRequest` by hand, in one pass. Throws MalformedMessage. */
export const readProcessingRequest = (bytes: Buffer): ProcessingRequest => {
  const reader = new ProtoReader(bytes)
  let part: ProcessingPart | undefined
  let modes: BodyModes | undefined
  let metadata: Map<string, StructObject> | undefined
  let attributes: Map<string, StructObject> | undefined
  let observed = false
  while (reader.next()) {
    switch (reader.field) {
      case Fields.request_headers:
        part = readHeaders(reader, "request_headers")
        break
      case Fields.response_headers:
        part = readHeaders(reader, "response_headers")
        break
      case Fields.request_body:
        part = readBody(reader, "request_body")
        break
      case Fields.response_body:
        part = readBody(reader, "response_body")
        break
      case Fields.request_trailers:
        reader.skip()
        part = { kind: "request_trailers" }
        break
      case Fields.response_trailers:
        reader.skip()
        part = { kind: "response_trailers" }
        break
      case Fields.metadata_context:
        readMetadata(reader, metadata ??= new Map())
        break
      case Fields.attributes:
        readStructEntry(reader, attributes ??= new Map())
        break
      case Fields.observability_mode:
        observed = reader.bool()
        break
      case Fields.protocol_config:
        modes = readModes(reader)
        break
      default:
        reader.skip()
    }
  }
  if (part === undefined) throw new MalformedMessage("the message is about no part of a request")
  return { part, modes, metadata, attributes, observed }
}

const readHeaders = (reader: ProtoReader, kind: "request_headers" | "response_headers"): ProcessingPart => {
  const headers = new HeaderList()
  let ends = false
  const mark = reader.enter()
  while (reader.next()) {
    if (reader.field === HttpHeaders.headers) {
      const mapMark = reader.enter()
      while (reader.next()) {
        if (reader.field === HeaderMap.headers) readHeader(reader, headers)
        else reader.skip()
      }
      reader.leave(mapMark)
    } else if (reader.field === HttpHeaders.end_of_stream) ends = reader.bool()
    else reader.skip()
  }
  reader.leave(mark)
  return { kind, headers, ends }
}

const readHeader = (reader: ProtoReader, headers: HeaderList): void => {
  const mark = reader.enter()
  let key = ""
  let value = ""
  while (reader.next()) {
    if (reader.field === HeaderValue.key) key = reader.text()
    // Envoy fills one of the two, by its runtime flag send_header_raw_value.
    else if (reader.field === HeaderValue.value || reader.field === HeaderValue.raw_value) value ||= reader.text()
    else reader.skip()
  }
  reader.leave(mark)
  headers.add(key, value)
}

const noBytes = Buffer.alloc(0)

const readBody = (reader: ProtoReader, kind: "request_body" | "response_body"): ProcessingPart => {
  let body: Buffer = noBytes
  let ends = false
  const mark = reader.enter()
  while (reader.next()) {
    if (reader.field === HttpBody.body) body = reader.bytes()
    else if (reader.field === HttpBody.end_of_stream || reader.field === HttpBody.end_of_stream_without_message) {
      ends = reader.bool() || ends
    } else reader.skip()
  }
  reader.leave(mark)
  return { kind, body, ends }
}

const readModes = (reader: ProtoReader): BodyModes => {
  let request = 0
  let response = 0
  const mark = reader.enter()
  while (reader.next()) {
    if (reader.field === ProtocolConfiguration.request_body_mode) request = reader.varint()
    else if (reader.field === ProtocolConfiguration.response_body_mode) response = reader.varint()
    else reader.skip()
  }
  reader.leave(mark)
  return { request, response }
}

const readMetadata = (reader: ProtoReader, into: Map<string, StructObject>): void => {
  const mark = reader.enter()
  while (reader.next()) {
    if (reader.field === Metadata.filter_metadata) readStructEntry(reader, into)
    else reader.skip()
  }
  reader.leave(mark)
}

/** One entry of a map from names to Structs. */
const readStructEntry = (reader: ProtoReader, into: Map<string, StructObject>): void => {
  const mark = reader.enter()
  let key = ""
  let value: StructObject = noFields
  while (reader.next()) {
    if (reader.field === mapEntry.key) key = reader.text()
    else if (reader.field === mapEntry.value) {
      const valueMark = reader.enter()
      value = readStruct(reader)
      reader.leave(valueMark)
    } else reader.skip()
  }
  reader.leave(mark)
  into.set(key, value)
}

const noFields: StructObject = new Map()
