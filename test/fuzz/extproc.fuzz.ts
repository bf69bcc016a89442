import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { GrpcError } from "../../src/extproc/grpc/grpcStatus.ts"
import { MessageSplitter } from "../../src/extproc/grpc/MessageSplitter.ts"
import { readProcessingRequest } from "../../src/extproc/wire/processingRequest.ts"
import { MalformedMessage } from "../../src/extproc/wire/ProtoReader.ts"
import { base64, grpcFrame, processingRequestBytes } from "../extproc/EnvoyStream.ts"
import { cutsArb, hostileBytes, pieces, plan, propertyTimeoutMs } from "./fuzz.ts"

const samples = [
  processingRequestBytes({
    requestHeaders: {
      headers: { headers: [{ key: ":path", rawValue: base64("/v1/chat/completions") }, { key: "a", value: "b" }] },
      endOfStream: true
    },
    metadataContext: { filterMetadata: { "envoy.lb": { a: ["b", { c: 1 }], d: null, e: true } } },
    attributes: { filter: { "request.path": "/" } },
    protocolConfig: { requestBodyMode: "FULL_DUPLEX_STREAMED", responseBodyMode: "BUFFERED" }
  }),
  processingRequestBytes({ requestBody: { body: base64("{\"model\":\"m\"}"), endOfStream: true } }),
  processingRequestBytes({ responseTrailers: {}, observabilityMode: true })
]
const words = [
  "\u000a",
  "\u0012",
  "\u001a",
  "\u007f\u007f\u007f\u007f",
  "\u0000",
  "\u000a\u0002\u000a\u0000",
  ":method"
]

describe("a message of Envoy's that may be none", () => {
  test("is read or refused as malformed, and holds no more than was sent", () => {
    fc.assert(
      fc.property(hostileBytes(samples, words), (bytes) => {
        try {
          const { attributes, metadata, modes, part } = readProcessingRequest(Buffer.from(bytes))
          if ("body" in part) expect(part.body.length).toBeLessThanOrEqual(bytes.length)
          if ("headers" in part) expect((part.headers.get(":path") ?? "").length).toBeLessThanOrEqual(2 * bytes.length)
          expect((metadata?.size ?? 0) + (attributes?.size ?? 0)).toBeLessThanOrEqual(bytes.length)
          expect(Number.isFinite(modes?.request ?? 0)).toBe(true)
        } catch (cause) {
          expect(cause).toBeInstanceOf(MalformedMessage)
        }
      }),
      plan("extproc", 0.6)
    )
  }, propertyTimeoutMs)
})

interface Split {
  readonly messages: ReadonlyArray<string>
  readonly refused: boolean
  readonly midMessage: boolean
}

const split = (all: ReadonlyArray<Uint8Array>): Split => {
  const splitter = new MessageSplitter(300)
  const messages: Array<string> = []
  try {
    for (const piece of all) splitter.add(Buffer.from(piece), (message) => messages.push(message.toString("hex")))
  } catch (cause) {
    if (!(cause instanceof GrpcError)) throw cause
    return { messages, refused: true, midMessage: false }
  }
  return { messages, refused: false, midMessage: splitter.midMessage }
}

test("the frames of a call are the same however its bytes are cut", () => {
  const stream = Buffer.concat(samples.map((sample) => grpcFrame(sample)))
  const lengths = ["\u0000\u0000\u0000\u0000\u0001", "\u0001\u0000\u0000\u0000\u0000", "\u0000\u007f\u0000\u0000\u0000"]
  fc.assert(
    fc.property(hostileBytes([new Uint8Array(stream)], lengths), cutsArb, (bytes, cuts) => {
      const whole = split([bytes])
      expect(split(pieces(bytes, cuts))).toEqual(whole)
    }),
    plan("extproc", 0.4)
  )
}, propertyTimeoutMs)
