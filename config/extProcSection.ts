import { Duration, Schema } from "effect"
import { BytesText } from "./BytesText.ts"
import { DurationText } from "./DurationText.ts"
import { count, perhaps, setting, unknownName } from "./schemaParts.ts"

const MANY = 1_000_000
const MIB = 1024 * 1024

const Port = count(0, 65_535)
const Name = Schema.NonEmptyString

const tlsChoices = ["off", "self-signed", "files"] as const

const PickerListen = Schema.Struct({
  /** Address of the interface. Default `0.0.0.0`, all of them. */
  hostname: setting(Name, "0.0.0.0"),
  /** TCP port; 0 takes any free one. Default 9002, as llm-d's picker has it. */
  port: setting(Port, 9002)
})

/** The endpoint picker of an Inference Gateway. */
export const ExtProc = Schema.Struct({
  /** Where Envoy asks which pod a request goes to. Default: nowhere, there is no picker. */
  listen: perhaps(PickerListen),
  /** off: HTTP/2 in the clear. self-signed: a fresh certificate at each start. files: `certPath`, `keyPath`. Default off. */
  tls: setting(
    Schema.String.pipe(
      Schema.filter((name): name is (typeof tlsChoices)[number] => tlsChoices.some((choice) => choice === name), {
        message: ({ actual }) => unknownName("choice", actual, tlsChoices)
      })
    ),
    "off"
  ),
  /** PEM file of the certificate and its chain, for `tls: files`. */
  certPath: perhaps(Name),
  /** PEM file of its key. */
  keyPath: perhaps(Name),
  /** Port for gRPC health checks alone, always in the clear; 0 takes any free one. Default: none, they go to `listen`. */
  healthPort: perhaps(Port),
  /** A name to be asked for in health checks beside the standard ones. Default: none. */
  healthService: perhaps(Name),
  /** Pods named behind the picked one, for a proxy that tries again by itself. 0 for one that takes no list. Default 2. */
  fallbacks: setting(count(0, 16), 2),
  /** Largest message of Envoy's, which holds a whole body when it buffers. Default 64 MiB. */
  messageBytesMax: setting(BytesText, 64 * MIB),
  /** Requests in hand at once; one more is answered 429. Default 16384. */
  openStreamsMax: setting(count(1, MANY), 16_384),
  /** A connection of Envoy's must answer a ping so often, or its requests count as gone. Default 30 seconds. */
  pingEvery: setting(DurationText, Duration.seconds(30))
}).pipe(
  Schema.filter(({ certPath, keyPath, tls }) => {
    if (tls === "files") {
      if (certPath === undefined) return { path: ["certPath"], message: "is missing; tls: files needs it" }
      if (keyPath === undefined) return { path: ["keyPath"], message: "is missing; tls: files needs it" }
    } else if (certPath !== undefined || keyPath !== undefined) {
      return { path: ["tls"], message: "must be files where certPath or keyPath is set" }
    }
    return undefined
  })
)
