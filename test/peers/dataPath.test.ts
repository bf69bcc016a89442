import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { Duration, Effect } from "effect"
import { decodeConfig } from "../../config/decodeConfig.ts"
import { eventually } from "../lib/eventually.ts"
import { rawRequest, textOf } from "../lib/rawHttp.ts"
import type { PodConnection, RawPod, SeenRequest } from "../lib/rawPod.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { event, streamEnd, streamHead } from "../lib/streamedAnswer.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"

let answer: (request: SeenRequest, connection: PodConnection) => void
let pod: RawPod
let gateway: TestGateway

beforeAll(async () => {
  pod = startScriptedPod((request, connection) => answer(request, connection))
  gateway = await startTestGateway({ pods: [pod.url] })
  await gateway.healthyPods(1)
})

afterAll(async () => {
  await gateway?.stop()
  pod?.stop()
})

const ask = (body: string, path = "/v1/chat/completions") =>
  rawRequest(gateway.url, { method: "POST", path, headers: { "content-type": "application/json" }, body })

const lastSeen = (): SeenRequest => {
  const last = pod.seen.findLast(({ method }) => method === "POST")
  if (last === undefined) throw new Error("the pod saw no request")
  return last
}

const chat = (fields: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({ messages: [{ role: "user", content: "hi" }], model: "tiny", ...fields })

/** A number on the gateway's metrics page. */
const counted = async (line: RegExp): Promise<number> =>
  Number(line.exec(await (await fetch(`${gateway.url}/metrics`)).text())?.[1] ?? 0)

describe("a body", () => {
  // kubernetes-sigs/gateway-api-inference-extension#854 (128 kB), #2115 (6.2 kB), #2556; agentgateway/agentgateway#1685
  // (2 MiB); llm-d/llm-d-router#2318
  test.each([6_200, 64 * 1024, 128 * 1024, 2 * 1024 * 1024, 12 * 1024 * 1024])(
    "of %d bytes and one more reaches the pod as it was written, spaces and order of keys included",
    async (bytes) => {
      answer = (_request, connection) => connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
      const head = `{ "messages" : [{"role":"user", "content":"`
      const tail = `"}],\n  "zebra": 1.50, "model":"tiny" }`
      const body = head + "x".repeat(bytes + 1 - head.length - tail.length) + tail
      expect((await ask(body)).status).toBe(200)
      expect(Buffer.compare(lastSeen().body, Buffer.from(body))).toBe(0)
    }
  )

  // vllm-project/aibrix#757, #788: usage that is asked for behind the client's back
  test("of a stream is not made to ask for usage, the client gets no chunk of it, and output is counted all the same", async () => {
    answer = (_request, connection) =>
      connection.send(
        streamHead + ["one", "two", "three", "four"].map((text) => event(`{"choices":[{"text":"${text}"}]}`)).join("") +
          event("[DONE]") + streamEnd
      )
    const outputTokens = () => counted(/^warmroute_output_tokens_total\{[^}]*"tiny"[^}]*\} (\d+)$/m)
    const before = await outputTokens()
    const heard = textOf(await ask(chat({ stream: true })))
    expect(JSON.parse(Buffer.from(lastSeen().body).toString())).not.toHaveProperty("stream_options")
    expect(heard).not.toContain("usage")
    await gateway.becomesIdle()
    expect(await outputTokens()).toBeGreaterThan(before)
  })
})

describe("an answer", () => {
  // vllm-project/production-stack#880, #836, #998; lightseekorg/smg#1857
  test("has the pod's type, one Server and one Date, and no header of the pod's connection", async () => {
    const head = [
      "HTTP/1.1 200 OK",
      "date: Sun, 22 Nov 2026 12:00:00 GMT",
      "server: uvicorn",
      "content-type: application/x-ndjson; charset=utf-8",
      "connection: keep-alive, x-hop",
      "keep-alive: timeout=5",
      "x-hop: 1",
      "content-length: 3"
    ]
    answer = (_request, connection) => connection.send(`${head.join("\r\n")}\r\n\r\n{}\n`)
    const { body, headers } = await ask(chat({}))
    const valuesOf = (name: string) => headers.filter(([key]) => key === name).map(([, value]) => value)
    expect(Buffer.from(body).toString()).toBe("{}\n")
    expect(valuesOf("content-type")).toEqual(["application/x-ndjson; charset=utf-8"])
    expect(valuesOf("server")).toEqual(["uvicorn"])
    expect(valuesOf("date")).toHaveLength(1)
    expect(valuesOf("content-length")).toEqual(["3"])
    expect([...valuesOf("keep-alive"), ...valuesOf("x-hop")]).toEqual([])
  })

  // lightseekorg/smg#1878
  test("in whose text [DONE] is written goes on behind it", async () => {
    const events = [
      event(`{"choices":[{"delta":{"content":"data: [DONE]"}}]}`),
      event(`{"choices":[{"delta":{"content":"\\n\\ndata: [DONE]\\n\\n"}}]}`),
      event(`{"choices":[{"delta":{"content":"and more"}}]}`),
      event("[DONE]")
    ]
    answer = (_request, connection) => connection.send(streamHead + events.join("") + streamEnd)
    const heard = await ask(chat({ stream: true }))
    expect(heard.complete).toBe(true)
    expect(textOf(heard).split("\n\n").filter((line) => line !== "")).toHaveLength(4)
    expect(textOf(heard)).toContain("and more")
  })

  // vllm-project/aibrix#2594, #2476
  test("that is an error keeps its bytes, its order of keys and its status, without another error around it", async () => {
    const body = `{"object":"error","message":"max_tokens is too large","type":"BadRequestError","code":400}`
    answer = (_request, connection) =>
      connection.send(
        `HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
      )
    const heard = await ask(chat({ max_tokens: 1e9 }))
    expect([heard.status, textOf(heard)]).toEqual([400, body])
  })

  // the first output of a reasoning model is no content; vllm-project/production-stack's benchmark crashed on it
  test("that begins with reasoning has its first token there, not at the first word of its text", async () => {
    const firstTokens = () => counted(/^warmroute_ttft_seconds_count\{[^}]*chat[^}]*\} (\d+)$/m)
    const before = await firstTokens()
    const held = Promise.withResolvers<PodConnection>()
    answer = (_request, connection) => {
      connection.send(streamHead + event(`{"choices":[{"delta":{"reasoning_content":"hm"}}]}`))
      held.resolve(connection)
    }
    const whole = ask(chat({ stream: true }))
    const connection = await held.promise
    await eventually("the first token counts", async () => (await firstTokens()) === before + 1)
    connection.send(event("[DONE]") + streamEnd)
    expect((await whole).status).toBe(200)
  })
})

// sglang-router: Nagle's algorithm holds the second of two small pieces until the first is acknowledged. Linux does that
// after 40 ms on a connection that is used again.
test("an event reaches its client when the pod sends it, not when the one before was acknowledged", async () => {
  let connection: PodConnection | undefined
  answer = (_request, podConnection) => {
    connection = podConnection
    connection.send(streamHead + event("0"))
  }
  const gapsMs: Array<number> = []
  const requests = 15
  const all = Promise.withResolvers<void>()
  const body = chat({ stream: true })
  const request = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`
  const { hostname, port } = new URL(gateway.url)
  let text = ""
  let sentAtMs = 0
  const hear = (socket: Bun.Socket, bytes: Buffer): void => {
    text += bytes.toString()
    if (text.endsWith("data: 0\n\n\r\n")) {
      sentAtMs = performance.now()
      connection?.send(event("first"))
      setImmediate(() => connection?.send(event("second")))
    } else if (text.endsWith("data: second\n\n\r\n")) {
      gapsMs.push(performance.now() - sentAtMs)
      connection?.send(event("[DONE]") + streamEnd)
    } else if (text.endsWith(streamEnd)) {
      text = ""
      if (gapsMs.length === requests) all.resolve()
      else socket.write(request)
    }
  }
  const open = (socket: Bun.Socket) => void socket.write(request)
  const client = await Bun.connect({ hostname, port: Number(port), socket: { open, data: hear } })
  await all.promise
  client.terminate()
  expect(gapsMs.toSorted((a, b) => a - b)[Math.floor(requests / 2)]).toBeLessThan(30)
})

// llm-d/llm-d#1564, llm-d/llm-d-benchmark#1675, vllm-project/vllm#41567
test("a socket to a pod rests for less than the 5 s after which vLLM closes it, without being told", async () => {
  const { limits } = await Effect.runPromise(decodeConfig([{ name: "test", values: {} }]))
  expect(Duration.toMillis(limits.upstreamIdleMax)).toBeLessThan(5000)
})
