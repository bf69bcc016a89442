import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { GatewayError } from "../../src/errors.ts"
import { FeatureWorkshop } from "../../src/http/features/PromptFeatures.ts"
import { type ReadRequest, readRequest } from "../../src/http/features/readRequest.ts"
import { frontDefaults } from "../../src/http/FrontOptions.ts"
import { continuedBody } from "../../src/http/rescue/continuedBody.ts"
import { RescueBytes } from "../../src/http/rescue/RescueBytes.ts"
import { TokenTrail } from "../../src/http/rescue/TokenTrail.ts"
import { proxyRoutes } from "../../src/http/routes.ts"
import { recordedExchanges } from "../lib/recordedPod.ts"
import { graftedJson, hostileBytes, inheritedNames, plan, propertyTimeoutMs } from "./fuzz.ts"

const recorded = recordedExchanges().flatMap(({ method, requestBody }) =>
  method === "POST" && requestBody !== undefined && requestBody.length < 3_000 ? [requestBody] : []
)
const parsed = recorded.flatMap((bytes): ReadonlyArray<unknown> => {
  try {
    return [JSON.parse(Buffer.from(bytes).toString())]
  } catch {
    return []
  }
})
const streams = [
  { model: "m", stream: true, messages: [{ role: "user", content: [{ type: "text", text: "hi" }] }], tools: [] },
  { model: "m", stream: true, prompt: [1, 2, 3], stream_options: { include_usage: true }, max_tokens: 4 },
  { model: "m", prompt: [[1, 2], [3]], vllm_xargs: { session_id: "a" } },
  { model: "m", instructions: "be", input: [{ type: "function_call", name: "f" }], max_output_tokens: 7 },
  { model: "m", system: [{ type: "text", text: "s" }], messages: [{ role: "user", content: "x" }] },
  { model: "m", token_ids: [1, 2, 3], sampling_params: { max_tokens: 9 } },
  { model: "m", query: "a", documents: ["b", { text: "c" }], input: ["d"] }
]
const names = ["model", "stream", "messages", "prompt", "content", "role", "tool_calls", "image_url", "logit_bias", "n"]
const words = ["{", "}", "[", "]", "\"", ",", ":", "\\", "null", "\"model\":\"m\",", "\\u0000", "\ufeff", "1e999", "\n"]

const routes = fc.constantFrom(...proxyRoutes.filter(({ prompt }) => prompt !== "form"))
const forms = fc.constantFrom(...proxyRoutes.filter(({ prompt }) => prompt === "form"))
const options = { ...frontDefaults, aliases: new Map([["m", "the model \"that\" serves"]]) }
const workshop = new FeatureWorkshop(8)

/** What was read, or undefined where the client was told its fault. */
const readOrRefuse = (
  route: typeof proxyRoutes[number],
  headers: Record<string, string>,
  bytes: Uint8Array
): ReadRequest | undefined => {
  try {
    return readRequest(route, new Headers(headers), bytes, options, workshop)
  } catch (cause) {
    if (!(cause instanceof GatewayError)) throw cause
    expect(cause.status).toBe(400)
    expect(cause.message.length).toBeLessThan(500)
    return undefined
  }
}

const soundFeatures = ({ features, terms }: ReadRequest): void => {
  expect(Number.isInteger(features.promptTokens) && features.promptTokens >= 0).toBe(true)
  expect(features.outputTokensMax ?? 1).toBeGreaterThan(0)
  expect(features.tokensPerBlock(16)).toBeGreaterThan(0)
  const chain = features.chain(16)
  expect(chain.low.length).toBe(chain.high.length)
  expect(chain.low.length).toBeLessThanOrEqual(2 + 16 * features.promptTokens)
  features.release(false)
  if (terms === undefined) return
  const trail = new TokenTrail(new RescueBytes(() => 1e6), 1e5)
  trail.start(Buffer.from("1,2"))
  const body = continuedBody(terms, trail, 100)
  if (body !== undefined) JSON.parse(Buffer.from(body).toString())
}

describe("a body that is not what it should be", () => {
  test("as JSON with a strange member is read or refused with 400", () => {
    fc.assert(
      fc.property(routes, graftedJson([...parsed, ...streams], names), (route, json) => {
        const read = readOrRefuse(route, {}, Buffer.from(json))
        if (read !== undefined) soundFeatures(read)
      }),
      plan("bodies", 0.6)
    )
  }, propertyTimeoutMs)

  test("as bytes of any kind is read or refused with 400", () => {
    fc.assert(
      fc.property(routes, hostileBytes(recorded, words), (route, bytes) => {
        const read = readOrRefuse(route, {}, bytes)
        if (read !== undefined) soundFeatures(read)
      }),
      plan("bodies", 0.2)
    )
  }, propertyTimeoutMs)

  test("keeps all but the name of its model when that has an alias", () => {
    fc.assert(
      fc.property(graftedJson(streams, names), (json) => {
        const before = JSON.parse(json)
        if (before?.model !== "m") return
        const read = readOrRefuse(proxyRoutes[0]!, {}, Buffer.from(json))
        if (read === undefined) return
        const after = JSON.parse(Buffer.from(read.body).toString())
        expect(after.model).toBe("the model \"that\" serves")
        expect(JSON.stringify({ ...after, model: "m" })).toBe(JSON.stringify(before))
      }),
      plan("bodies", 0.05)
    )
  }, propertyTimeoutMs)

  test("as a form is read or refused with 400", () => {
    const part = (name: string, value: string) =>
      `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
    const sample = Buffer.from(`${part("model", "m")}${part("file", "RIFF")}${part("stream", "true")}--b--\r\n`)
    const formWords = [
      "--b",
      "--b--",
      "\r\n",
      "\r\n\r\n",
      "name=\"model\"",
      "name=",
      "--",
      "Content-Disposition: ",
      ";"
    ]
    const types = fc.constantFrom(
      "multipart/form-data; boundary=b",
      "multipart/form-data; boundary=\"b\"",
      "text/plain",
      ""
    )
    fc.assert(
      fc.property(forms, types, hostileBytes([sample], formWords), (route, type, bytes) => {
        const read = readOrRefuse(route, { "content-type": type }, bytes)
        if (read !== undefined) soundFeatures(read)
      }),
      plan("bodies", 0.15)
    )
  }, propertyTimeoutMs)

  test.each(inheritedNames)("may have a member called %s", (name) => {
    const json = `{"model":"x","stream":true,"messages":[],"${name}":1}`
    expect(readOrRefuse(proxyRoutes[0]!, {}, Buffer.from(json))?.terms).toBeUndefined()
  })
})
