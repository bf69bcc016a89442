import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { headerOf, rawRequest, type RawResponse, textOf } from "../lib/rawHttp.ts"
import type { RawPod } from "../lib/rawPod.ts"
import {
  exchangeHeader,
  type RecordedExchange,
  recordedExchanges,
  startRecordedPod,
  startScriptedPod
} from "../lib/recordedPod.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"

const routes = new Set([
  "/v1/chat/completions",
  "/v1/completions",
  "/v1/responses",
  "/v1/embeddings",
  "/v1/messages",
  "/v1/messages/count_tokens",
  "/tokenize",
  "/detokenize",
  "/inference/v1/generate"
])

/** The gateway answers these itself, since no pod has to be asked; the status is the pod's. */
const answeredByGateway = new Set([
  "err-bad-json",
  "err-empty-body",
  "err-model-not-found",
  "err-stream-model-not-found",
  "err-method",
  "err-404"
])

const exchanges = recordedExchanges()
const forwarded = exchanges.filter((each) =>
  each.method === "POST" && routes.has(each.path) && !answeredByGateway.has(each.name)
)

/** Hop-by-hop fields and the one that the gateway adds. */
const notCompared = new Set(["connection", "keep-alive", "transfer-encoding", "x-warmroute-pod"])

const comparedHeaders = (response: RawResponse): ReadonlyArray<string> =>
  response.headers.filter(([name]) => !notCompared.has(name)).map(([name, value]) => `${name}: ${value}`).sort()

const ask = (url: string, exchange: RecordedExchange): Promise<RawResponse> =>
  rawRequest(url, {
    method: exchange.method,
    path: exchange.path,
    headers: {
      [exchangeHeader]: exchange.name,
      ...(exchange.contentType === undefined ? {} : { "content-type": exchange.contentType })
    },
    body: exchange.requestBody
  })

const pods = [
  { how: "written at once on kept connections", options: { keepAlive: true } },
  { how: "written in pieces of 7 bytes and closed", options: { pieceBytes: 7 } },
  { how: "written in pieces of 61 bytes on kept connections", options: { pieceBytes: 61, keepAlive: true } }
]

describe.each(pods)("recorded answers, $how, pass unchanged", ({ options }) => {
  let pod: RawPod
  let gateway: TestGateway

  beforeAll(async () => {
    pod = startRecordedPod(options)
    gateway = await startTestGateway({ pods: [pod.url] })
    await gateway.healthyPods(1)
  })

  afterAll(async () => {
    await gateway?.stop()
    pod.stop()
  })

  test.each(forwarded.map((exchange) => [exchange.name, exchange] as const))("%s", async (_name, exchange) => {
    const direct = await ask(pod.url, exchange)
    const through = await ask(gateway.url, exchange)
    expect(through.status).toBe(direct.status)
    expect(comparedHeaders(through)).toEqual(comparedHeaders(direct))
    expect(Buffer.from(through.body.subarray(0, direct.body.length)).equals(Buffer.from(direct.body))).toBe(true)
    // Where the pod broke off, the gateway ends the stream with an event of its own.
    const added = Buffer.from(through.body.subarray(direct.body.length)).toString().trimStart()
    expect(added).toStartWith(direct.complete ? "" : "data: {\"error\":{")
    expect(added === "").toBe(direct.complete)
    expect(through.complete).toBe(true)
    expect(headerOf(through.headers, "x-warmroute-pod")).toBe(new URL(pod.url).host)
  })

  test("the pod received every body as the client sent it, or asking for token ids besides", async () => {
    for (const exchange of forwarded) {
      const sent = pod.seen.filter((request) => headerOf(request.headers, exchangeHeader) === exchange.name)
      expect(sent).toHaveLength(2)
      for (const request of sent) {
        const body = Buffer.from(request.body).toString().replace("\"return_token_ids\":true,", "")
        expect(body).toBe(Buffer.from(exchange.requestBody ?? []).toString())
        expect(headerOf(request.headers, "content-type")).toBe(exchange.contentType)
      }
    }
  })

  test("nothing is in flight once all is answered", () => {
    expect(gateway.handle.openRequests()).toBe(0)
  })
})

describe("what the gateway answers itself", () => {
  let pod: RawPod
  let gateway: TestGateway

  beforeAll(async () => {
    pod = startRecordedPod({ keepAlive: true })
    gateway = await startTestGateway({ pods: [pod.url] })
    await gateway.healthyPods(1)
  })

  afterAll(async () => {
    await gateway?.stop()
    pod.stop()
  })

  const own = exchanges.filter((each) => answeredByGateway.has(each.name))

  test.each(own.map((exchange) => [exchange.name, exchange] as const))(
    "%s has the pod's status and OpenAI's shape",
    async (_name, exchange) => {
      const answer = await ask(gateway.url, exchange)
      expect(answer.status).toBe(exchange.response.status)
      expect(JSON.parse(textOf(answer))).toEqual({
        error: {
          message: expect.any(String),
          type: expect.any(String),
          param: exchange.name.includes("model") ? "model" : null,
          code: expect.any(String)
        }
      })
      expect(pod.seen.filter((request) => request.method === "POST")).toEqual([])
    }
  )

  test("the model list keeps every card and field of the pod's", async () => {
    const recorded = exchanges.find((each) => each.name === "models")
    const answer = await rawRequest(gateway.url, { method: "GET", path: "/v1/models" })
    const listOf = (response: RawResponse): { object: string; data: ReadonlyArray<{ id: string }> } =>
      JSON.parse(textOf(response))
    if (recorded === undefined) throw new Error("no recorded model list")
    const byId = (list: ReadonlyArray<{ id: string }>): ReadonlyArray<{ id: string }> =>
      list.toSorted((a, b) => a.id.localeCompare(b.id))
    expect(listOf(answer).object).toBe("list")
    expect(byId(listOf(answer).data)).toEqual(byId(listOf(recorded.response).data))
  })

  test("request id and trace context of the client reach the pod", async () => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await rawRequest(gateway.url, {
      method: "POST",
      path: "/tokenize",
      headers: { "content-type": "application/json", "x-request-id": "mine-1", traceparent },
      body: JSON.stringify({ model: "tiny", prompt: "hello" })
    })
    const last = pod.seen.findLast((request) => request.method === "POST")
    expect(headerOf(last?.headers ?? [], "x-request-id")).toBe("mine-1")
    expect(headerOf(last?.headers ?? [], "traceparent")).toStartWith("00-0af7651916cd43dd8448eb211c80319c-")
  })
})

test("an answer without a request id gets the client's, or one that the pod saw too", async () => {
  const pod = startScriptedPod((_request, connection) =>
    connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
  )
  const gateway = await startTestGateway({ pods: [pod.url] })
  await gateway.healthyPods(1)
  const idFor = async (headers: Record<string, string>): Promise<string | undefined> => {
    const request = {
      method: "POST",
      path: "/tokenize",
      headers,
      body: JSON.stringify({ model: "tiny", prompt: "hi" })
    }
    return headerOf((await rawRequest(gateway.url, request)).headers, "x-request-id")
  }
  expect(await idFor({ "x-request-id": "mine-2" })).toBe("mine-2")
  const made = await idFor({})
  const last = pod.seen.findLast((request) => request.method === "POST")
  expect(made).toMatch(/^[\w-]{8,}$/)
  expect(headerOf(last?.headers ?? [], "x-request-id")).toBe(made)
  await gateway.stop()
  pod.stop()
})
