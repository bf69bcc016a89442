/**
 * Field numbers of Envoy's external processor, from xds-protos 1.85.0.
 * Written by `bun test/extproc/protos/generate.ts`.
 */

export const ProcessingRequest = {
  request_headers: 2,
  response_headers: 3,
  request_body: 4,
  response_body: 5,
  request_trailers: 6,
  response_trailers: 7,
  metadata_context: 8,
  attributes: 9,
  observability_mode: 10,
  protocol_config: 11
} as const

export const ProtocolConfiguration = {
  request_body_mode: 1,
  response_body_mode: 2,
  send_body_without_waiting_for_header_response: 3
} as const

export const HttpHeaders = {
  headers: 1,
  attributes: 2,
  end_of_stream: 3
} as const

export const HttpBody = {
  body: 1,
  end_of_stream: 2,
  end_of_stream_without_message: 3,
  grpc_message_compressed: 4
} as const

export const ProcessingResponse = {
  request_headers: 1,
  response_headers: 2,
  request_body: 3,
  response_body: 4,
  request_trailers: 5,
  response_trailers: 6,
  immediate_response: 7,
  dynamic_metadata: 8,
  mode_override: 9,
  request_drain: 11,
  override_message_timeout: 10
} as const

export const HeadersResponse = {
  response: 1
} as const

export const BodyResponse = {
  response: 1
} as const

export const CommonResponse = {
  status: 1,
  header_mutation: 2,
  body_mutation: 3,
  trailers: 4,
  clear_route_cache: 5
} as const

export const ImmediateResponse = {
  status: 1,
  headers: 2,
  body: 3,
  grpc_status: 4,
  details: 5
} as const

export const HeaderMutation = {
  set_headers: 1,
  remove_headers: 2
} as const

export const BodyMutation = {
  body: 1,
  clear_body: 2,
  streamed_response: 3
} as const

export const StreamedBodyResponse = {
  body: 1,
  end_of_stream: 2,
  end_of_stream_without_message: 3,
  grpc_message_compressed: 4
} as const

export const HeaderMap = {
  headers: 1
} as const

export const HeaderValue = {
  key: 1,
  value: 2,
  raw_value: 3
} as const

export const HeaderValueOption = {
  header: 1,
  append: 2,
  append_action: 3,
  keep_empty_value: 4
} as const

export const Metadata = {
  filter_metadata: 1,
  typed_filter_metadata: 2
} as const

export const HttpStatus = {
  code: 1
} as const

export const ProcessingMode = {
  request_header_mode: 1,
  response_header_mode: 2,
  request_body_mode: 3,
  response_body_mode: 4,
  request_trailer_mode: 5,
  response_trailer_mode: 6
} as const

export const Struct = {
  fields: 1
} as const

export const Value = {
  null_value: 1,
  number_value: 2,
  string_value: 3,
  bool_value: 4,
  struct_value: 5,
  list_value: 6
} as const

export const ListValue = {
  values: 1
} as const

export const BodySendMode = {
  NONE: 0,
  STREAMED: 1,
  BUFFERED: 2,
  BUFFERED_PARTIAL: 3,
  FULL_DUPLEX_STREAMED: 4,
  GRPC: 5
} as const

export const HeaderAppendAction = {
  APPEND_IF_EXISTS_OR_ADD: 0,
  ADD_IF_ABSENT: 1,
  OVERWRITE_IF_EXISTS_OR_ADD: 2,
  OVERWRITE_IF_EXISTS: 3
} as const
