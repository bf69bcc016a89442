import { type JsonValue } from "@bufbuild/protobuf"
import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { readProcessingRequest } from "../../src/extproc/wire/processingRequest.ts"
import { MalformedMessage } from "../../src/extproc/wire/ProtoReader.ts"
import type { StructValue } from "../../src/extproc/wire/structs.ts"
import { FrameWriter } from "../../src/extproc/wire/FrameWriter.ts"
import { routedBuffered, routedStreamed } from "../../src/extproc/wire/processingResponse.ts"
import { base64, heardFrames, processingRequestBytes } from "./EnvoyStream.ts"
import { fieldsText } from "./protos/fieldsText.ts"

const read = (json: Parameters<typeof processingRequestBytes>[0]) =>
  readProcessingRequest(Buffer.from(processingRequestBytes(json)))

/** Our reading of a Struct as the JSON that it came from. */
const asJson = (value: StructValue): JsonValue => {
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, inner]) => [key, asJson(inner)]))
  if (Array.isArray(value)) return value.map(asJson)
  return value as JsonValue
}

test("the field numbers are those of the published types", async () => {
  const file = Bun.file(new URL("../../src/extproc/wire/envoyFields.ts", import.meta.url))
  const bare = (text: string) => text.replaceAll(/\s+/g, " ")
  expect(bare(await file.text())).toBe(bare(fieldsText()))
})

const headerName = fc.string({ minLength: 1, maxLength: 20 })
const headerText = fc.string({ maxLength: 300 })

describe("a message that the published types wrote is read the same by hand", () => {
  test("headers", () => {
    fc.assert(fc.property(
      fc.array(fc.tuple(headerName, headerText, fc.boolean()), { maxLength: 30 }),
      fc.boolean(),
      fc.constantFrom("requestHeaders", "responseHeaders"),
      (pairs, endOfStream, field) => {
        const headers = pairs.map(([key, value, raw]) => raw ? { key, rawValue: base64(value) } : { key, value })
        const { part } = read({ [field]: { headers: { headers }, endOfStream } })
        if (part.kind !== "request_headers" && part.kind !== "response_headers") throw new Error(part.kind)
        expect(part.kind).toBe(field === "requestHeaders" ? "request_headers" : "response_headers")
        expect(part.ends).toBe(endOfStream)
        for (const [key] of pairs) {
          const values = pairs.filter(([name]) => name === key).map(([, value]) => value)
          expect(part.headers.get(key)).toBe(values.join(", "))
        }
      }
    ))
  })

  test("bodies", () => {
    fc.assert(fc.property(
      fc.uint8Array({ maxLength: 40_000 }),
      fc.boolean(),
      fc.constantFrom("requestBody", "responseBody"),
      (body, endOfStream, field) => {
        const { part } = read({ [field]: { body: base64(body), endOfStream } })
        if (part.kind !== "request_body" && part.kind !== "response_body") throw new Error(part.kind)
        expect(part.body.equals(body)).toBe(true)
        expect(part.ends).toBe(endOfStream)
      }
    ))
  })

  test("metadata and attributes of any shape", () => {
    const name = fc.string({ maxLength: 12 }).filter((text) => text !== "__proto__")
    const value = fc.jsonValue({ maxDepth: 4 }).filter((value) => !JSON.stringify(value).includes("__proto__"))
    const structs = fc.dictionary(name, fc.dictionary(name, value, { maxKeys: 6 }), { maxKeys: 4 })
    fc.assert(fc.property(structs, structs, (filterMetadata, attributes) => {
      const request = read({
        requestTrailers: {},
        metadataContext: { filterMetadata: filterMetadata as never },
        attributes: attributes as never
      })
      const plain = (map: ReadonlyMap<string, StructValue> | undefined) => map === undefined ? {} : asJson(map)
      const sameZero = (value: unknown) => JSON.parse(JSON.stringify(value))
      expect(sameZero(plain(request.metadata))).toEqual(sameZero(filterMetadata))
      expect(sameZero(plain(request.attributes))).toEqual(sameZero(attributes))
    }))
  })

  test("modes, and that none were told", () => {
    const protocolConfig = { requestBodyMode: "BUFFERED", responseBodyMode: "FULL_DUPLEX_STREAMED" }
    expect(read({ requestTrailers: {}, protocolConfig }).modes).toEqual({ request: 2, response: 4 })
    expect(read({ requestTrailers: {}, protocolConfig: {} }).modes).toEqual({ request: 0, response: 0 })
    expect(read({ requestTrailers: {} }).modes).toBeUndefined()
  })
})

test("bytes that are no message are refused, never read past or looped over", () => {
  const whole = processingRequestBytes({
    requestHeaders: { headers: { headers: [{ key: ":path", rawValue: base64("/v1/chat/completions") }] } },
    metadataContext: { filterMetadata: { "envoy.lb": { a: ["b", { c: 1 }] } } }
  })
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
      const broken = Buffer.from(whole)
      broken[at] = byte
      for (const bytes of [broken, broken.subarray(0, at)]) {
        try {
          readProcessingRequest(bytes)
        } catch (cause) {
          expect(cause).toBeInstanceOf(MalformedMessage)
        }
      }
    }),
    { numRuns: 2000 }
  )
})

test("metadata that nests without end is refused", () => {
  let nested: JsonValue = 1
  for (let depth = 0; depth < 60; depth++) nested = { a: nested }
  const bytes = processingRequestBytes({
    requestTrailers: {},
    metadataContext: { filterMetadata: { "envoy.lb": nested as never } }
  })
  expect(() => readProcessingRequest(Buffer.from(bytes))).toThrow(MalformedMessage)
})

describe("a response that we write is read the same by the published types", () => {
  test("with headers, metadata and a body of any size, and one writer for all", () => {
    const writer = new FrameWriter()
    const text = fc.string({ maxLength: 300 }).filter((value) => value !== "__proto__")
    fc.assert(fc.property(
      fc.array(fc.tuple(text, text), { maxLength: 8 }),
      fc.dictionary(text, text, { maxKeys: 5 }),
      fc.option(fc.nat(300_000), { nil: undefined }),
      fc.boolean(),
      fc.array(text, { maxLength: 3 }),
      (headers, metadata, bodyBytes, buffered, removed) => {
        const body = bodyBytes === undefined ? undefined : Buffer.alloc(bodyBytes, "ab")
        const routing = { headers, removed, metadataNamespace: "envoy.lb", metadata }
        const bytes = buffered
          ? routedBuffered(writer, routing, body)
          : routedStreamed(writer, routing, body, true)
        const [first, ...rest] = heardFrames(bytes)
        expect(first?.about).toBe(buffered ? "requestBody" : "requestHeaders")
        expect([...first?.headers ?? []]).toEqual([...new Map(headers)])
        expect([...first?.removedHeaders ?? []].sort()).toEqual([...removed].sort())
        expect(first?.metadata).toEqual(metadata)
        expect(first?.clearsRouteCache).toBe(true)
        if (buffered) expect(first?.replacedBody?.length).toBe(bodyBytes)
        else expect(Buffer.concat(rest.map(({ streamed }) => streamed.body)).length).toBe(bodyBytes ?? 0)
        expect(rest.map(({ streamed }) => streamed.ends)).toEqual(rest.map((_, i) => i === rest.length - 1))
      }
    ))
  })
})
