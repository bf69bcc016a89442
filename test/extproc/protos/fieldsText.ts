import { enumType, messageType } from "./envoyTypes.ts"

/** Messages that the picker reads or writes. */
const messages = [
  "envoy.service.ext_proc.v3.ProcessingRequest",
  "envoy.service.ext_proc.v3.ProtocolConfiguration",
  "envoy.service.ext_proc.v3.HttpHeaders",
  "envoy.service.ext_proc.v3.HttpBody",
  "envoy.service.ext_proc.v3.ProcessingResponse",
  "envoy.service.ext_proc.v3.HeadersResponse",
  "envoy.service.ext_proc.v3.BodyResponse",
  "envoy.service.ext_proc.v3.CommonResponse",
  "envoy.service.ext_proc.v3.ImmediateResponse",
  "envoy.service.ext_proc.v3.HeaderMutation",
  "envoy.service.ext_proc.v3.BodyMutation",
  "envoy.service.ext_proc.v3.StreamedBodyResponse",
  "envoy.config.core.v3.HeaderMap",
  "envoy.config.core.v3.HeaderValue",
  "envoy.config.core.v3.HeaderValueOption",
  "envoy.config.core.v3.Metadata",
  "envoy.type.v3.HttpStatus",
  "envoy.extensions.filters.http.ext_proc.v3.ProcessingMode",
  "google.protobuf.Struct",
  "google.protobuf.Value",
  "google.protobuf.ListValue"
]

const enums = [
  "envoy.extensions.filters.http.ext_proc.v3.ProcessingMode.BodySendMode",
  "envoy.config.core.v3.HeaderValueOption.HeaderAppendAction"
]

const shortName = (name: string): string => name.split(".").slice(-1)[0] ?? name

const record = (name: string, numbers: ReadonlyArray<readonly [name: string, number: number]>): string =>
  `export const ${name} = {\n${numbers.map(([field, number]) => `  ${field}: ${number}`).join(",\n")}\n} as const\n`

/** The module `src/extproc/wire/envoyFields.ts`. */
export const fieldsText = (): string =>
  [
    "/**\n * Field numbers of Envoy's external processor, from xds-protos 1.85.0.\n" +
    " * Written by `bun test/extproc/protos/generate.ts`.\n */\n",
    ...messages.map((name) =>
      record(shortName(name), messageType(name).fields.map((field) => [field.name, field.number]))
    ),
    ...enums.map((name) => record(shortName(name), enumType(name).values.map((value) => [value.name, value.number])))
  ].join("\n")
