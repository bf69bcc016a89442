import { describe, expect, test } from "bun:test"
import { podAddress } from "../../src/core/Pod.ts"
import { headerOf, rawRequest } from "../lib/rawHttp.ts"
import { rawExchange } from "./doors/rawClient.ts"
import { deadAddress, RawPod } from "./RawPod.ts"
import { TestFront } from "./TestFront.ts"

const chat = { model: "tiny", messages: [{ role: "user", content: "Hello" }] }
const json = (value: unknown, headers = "") => {
  const text = JSON.stringify(value)
  return `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n${headers}content-length: ${text.length}\r\n\r\n${text}`
}
const usage = { prompt_tokens: 16, total_tokens: 24, completion_tokens: 8, prompt_tokens_details: { cached_tokens: 4 } }

describe("the front", () => {
  test("a JSON answer comes back as the pod sent it, and the reservation ends with its usage", async () => {
    using pod = new RawPod((socket) => socket.write(json({ id: "x", usage })))
    await using front = new TestFront([pod.address])
    const response = await front.post("/v1/chat/completions", chat)
    expect(await response.text()).toBe(JSON.stringify({ id: "x", usage }))
    expect(front.scheduler.ends.get(0)).toEqual([{
      outcome: "finished",
      promptTokens: 16,
      cachedTokens: 4,
      outputTokens: 8
    }])
    expect(front.scheduler.firstTokens).toEqual([0])
    expect(response.headers.get("x-warmroute-pod")).toBe(pod.address.id)
    expect(front.booked).toEqual([
      "started /v1/chat/completions",
      "first byte /v1/chat/completions",
      "tokens tiny 16 4 8",
      "ended /v1/chat/completions 200 finished"
    ])
  })

  test.each([
    ["/v1/chat/completions/render", chat, 0],
    ["/v1/completions/render", { model: "tiny", prompt: "Hello" }, 0],
    ["/v2/embed", { model: "tiny", input_type: "query", texts: ["Hello", "there"] }, 4]
  ])("%s goes to a pod as it came, priced by what reaches its GPU", async (path, body, tokens) => {
    using pod = new RawPod((socket) => socket.write(json({ id: "x" })))
    await using front = new TestFront([pod.address])
    expect(await (await front.post(path, body)).json()).toEqual({ id: "x" })
    expect(pod.received[0]).toStartWith(`POST ${path} HTTP/1.1\r\n`)
    expect(pod.received[0]).toEndWith(JSON.stringify(body))
    const { generates, promptTokens } = front.scheduler.picks[0]!.request
    expect({ generates, promptTokens }).toEqual({ generates: false, promptTokens: tokens })
  })

  test("the pod gets the client's very bytes, its headers less the hop-by-hop ones, and ours", async () => {
    using pod = new RawPod((socket) => socket.write(json({})))
    await using front = new TestFront([pod.address])
    const body = "{ \"model\" : \"tiny\",\n \"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9 é\"}], \"n\":1e0 }"
    await fetch(`${front.url}/v1/chat/completions?a=b`, {
      method: "POST",
      body,
      headers: {
        "x-custom": "1",
        "x-forwarded-for": "10.1.1.1",
        "keep-alive": "5",
        te: "trailers",
        "x-request-id": "mine"
      }
    })
    const [head = "", sent] = (pod.received[0] ?? "").split("\r\n\r\n")
    expect(Buffer.from(sent ?? "", "latin1").toString()).toBe(body)
    expect(head).toStartWith(`POST /v1/chat/completions?a=b HTTP/1.1\r\nhost: ${pod.address.id}\r\n`)
    expect(head).toContain("\r\nx-custom: 1\r\n")
    expect(head).toContain("\r\nx-forwarded-for: 10.1.1.1, 127.0.0.1\r\n")
    expect(head).toContain("\r\nx-request-id: mine\r\n")
    expect(head).toMatch(/\r\ntraceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-01\r\n/)
    expect(head).toEndWith(`content-length: ${Buffer.byteLength(body)}`)
    expect(head).not.toMatch(/\r\n(te|keep-alive|connection|transfer-encoding):/i)
  })

  test("events pass as they come, the first is told, and the output counted when usage is missing", async () => {
    const events = ["data: {\"r\":1}\n\n", "data: {\"t\":1}\n\n", "data: {\"t\":2}\n\n", "data: [DONE]\n\n"]
    using pod = new RawPod((socket) => {
      socket.write(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
      )
      const next = (i: number): void => {
        const event = events[i]
        socket.write(event === undefined ? "0\r\n\r\n" : `${event.length.toString(16)}\r\n${event}\r\n`)
        if (event !== undefined) setImmediate(() => next(i + 1))
      }
      next(0)
    })
    await using front = new TestFront([pod.address])
    const response = await front.post("/v1/chat/completions", { ...chat, stream: true })
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8")
    expect(await response.text()).toBe(events.join(""))
    expect(front.scheduler.ends.get(0)).toEqual([{ outcome: "finished", outputTokens: 2 }])
    expect(front.scheduler.firstTokens).toEqual([0])
  })

  test("a client that leaves mid-stream: the pod is told at once and the reservation ends as aborted", async () => {
    using pod = new RawPod((socket) => {
      socket.write(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
      )
    })
    await using front = new TestFront([pod.address])
    const controller = new AbortController()
    const response = await front.post("/v1/chat/completions", { ...chat, stream: true }, { signal: controller.signal })
    await response.body?.getReader().read()
    const leftMs = performance.now()
    controller.abort()
    await pod.until((pod) => pod.closedAtMs.length === 1)
    expect((pod.closedAtMs[0] ?? 0) - leftMs).toBeLessThan(1_000)
    await front.quiet()
    expect(front.scheduler.outcomes()).toEqual(["aborted"])
  })

  test("a client that leaves before the first byte: the pod is told at once and the reservation ends as aborted", async () => {
    using pod = new RawPod(() => {})
    await using front = new TestFront([pod.address])
    const controller = new AbortController()
    const answer = front.post("/v1/chat/completions", chat, { signal: controller.signal })
    await pod.until((pod) => pod.received.length === 1)
    controller.abort()
    await expect(answer).rejects.toThrow()
    await pod.until((pod) => pod.closedAtMs.length === 1)
    await front.quiet()
    expect(front.scheduler.outcomes()).toEqual(["aborted"])
  })

  test("a client that leaves during the pick: the reservation still ends", async () => {
    using pod = new RawPod(() => {})
    await using front = new TestFront([pod.address])
    const picking = Promise.withResolvers<void>()
    const picked = Promise.withResolvers<void>()
    front.scheduler.beforePick = () => {
      picking.resolve()
      return picked.promise
    }
    const controller = new AbortController()
    front.post("/v1/chat/completions", chat, { signal: controller.signal }).catch(() => {})
    await picking.promise
    controller.abort()
    await front.quiet()
    picked.resolve()
    await Bun.sleep(0)
    expect([front.scheduler.outcomes(), pod.connections]).toEqual([["aborted"], 0])
  })

  test("a pod that refuses is reported and another one tried", async () => {
    using pod = new RawPod((socket) => socket.write(json({ ok: true })))
    const dead = deadAddress()
    await using front = new TestFront([dead, pod.address])
    const response = await front.post("/v1/chat/completions", chat)
    expect(await response.json()).toEqual({ ok: true })
    expect(front.scheduler.outcomes()).toEqual(["failed", "finished"])
    expect(front.scheduler.failures.map((failure) => failure.id)).toEqual([dead.id])
    expect(front.scheduler.picks[1]?.excluded).toEqual([dead.id])
  })

  test("a pod that closes before its answer is reported and another one tried", async () => {
    using bad = new RawPod((socket) => void socket.end())
    using pod = new RawPod((socket) => socket.write(json({ ok: true })))
    await using front = new TestFront([bad.address, pod.address])
    expect((await front.post("/v1/chat/completions", chat)).status).toBe(200)
    expect(front.scheduler.outcomes()).toEqual(["failed", "finished"])
  })

  test("retries end at their limit with the last failure", async () => {
    using one = new RawPod((socket) => void socket.end())
    using two = new RawPod((socket) => void socket.end())
    using three = new RawPod((socket) => void socket.end())
    const addresses = [one.address, two.address, three.address]
    await using front = new TestFront(addresses, { options: { retriesMax: 1 } })
    const response = await front.post("/v1/chat/completions", chat)
    expect([response.status, ((await response.json()) as { error: { code: string } }).error.code]).toEqual([
      502,
      "pod_unreachable"
    ])
    expect(front.scheduler.outcomes()).toEqual(["failed", "failed"])
  })

  test("when no pod is left to try, the client hears when to come again and what went wrong with the last one", async () => {
    await using front = new TestFront([deadAddress()])
    const response = await front.post("/v1/chat/completions", chat)
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"])
    const { error } = (await response.json()) as { error: { code: string; message: string } }
    expect(error.code).toBe("no_pod_available")
    expect(error.message).toContain("Before: the pod did not answer: no connection")
  })

  test("pods that refuse the connection cost a request none of its retries", async () => {
    using pod = new RawPod((socket) => socket.write(json({ ok: true })))
    const addresses = [deadAddress(), deadAddress(), deadAddress(), deadAddress(), pod.address]
    await using front = new TestFront(addresses, { options: { retriesMax: 1, retryShare: 0, retryBurst: 0 } })
    expect((await front.post("/v1/chat/completions", chat)).status).toBe(200)
  })

  test("no pod at all is 503 with Retry-After", async () => {
    await using front = new TestFront([])
    const response = await front.post("/v1/chat/completions", chat)
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"])
  })

  test("a pod that does not answer in time is 504", async () => {
    using pod = new RawPod(() => {})
    await using front = new TestFront([pod.address], { upstream: { firstByteTimeoutMs: 30 } })
    expect((await front.post("/v1/chat/completions", chat)).status).toBe(504)
    expect(front.scheduler.outcomes()).toEqual(["failed"])
  })

  test("a pod to which no connection comes about in time is 504 and another is tried", async () => {
    // It takes the connection, but never says a word of TLS.
    using mute = new RawPod(() => {})
    using pod = new RawPod((socket) => socket.write(json({ ok: true })))
    const address = { ...mute.address, tls: true }
    const upstream = { connectTimeoutMs: 50 }
    await using alone = new TestFront([address], { upstream })
    const response = await alone.post("/v1/chat/completions", chat)
    const { error } = (await response.json()) as { error: { code: string } }
    expect([response.status, error.code]).toEqual([504, "connect_timed_out"])
    expect(alone.booked).toContain("timed out connect")
    await using front = new TestFront([address, pod.address], { upstream })
    expect((await front.post("/v1/responses", { model: "m", input: "x" })).status).toBe(200)
    expect(front.scheduler.outcomes()).toEqual(["failed", "finished"])
  })

  test("a pod that breaks off inside a JSON answer is 502, not half an answer", async () => {
    using pod = new RawPod((socket) => void socket.end(json({ ok: true }).slice(0, -3)))
    await using front = new TestFront([pod.address], { options: { retriesMax: 0 } })
    expect((await front.post("/v1/chat/completions", chat)).status).toBe(502)
    expect(front.scheduler.outcomes()).toEqual(["failed"])
  })

  test.each([
    ["/v1/chat/completions", chat, "data: {\"error\":{\"message\":"],
    ["/v1/messages", chat, "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":"],
    ["/v1/responses", { model: "tiny", input: "Hello" }, "event: error\ndata: {\"type\":\"error\",\"code\":"]
  ])("a stream of %s that breaks off ends in good order with an error event", async (path, body, start) => {
    using pod = new RawPod((socket) => {
      socket.write(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
      )
      setTimeout(() => socket.end(), 20)
    })
    await using front = new TestFront([pod.address])
    const response = await front.post(path, { ...body, stream: true })
    const text = await response.text()
    expect(text).toStartWith(`hello\n\n${start}`)
    expect(text).toEndWith("}\n\n")
    expect(text).toContain("\"code\":\"pod_unreachable\"")
    expect(text).not.toContain("[DONE]")
    await pod.until((pod) => pod.closedAtMs.length === 1)
    await front.quiet()
    expect(front.scheduler.outcomes()).toEqual(["failed"])
  })

  test("a pod's own error passes as it is and counts as finished", async () => {
    const text = "{\"error\":{\"message\":\"no\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}}"
    using pod = new RawPod((socket) => {
      socket.write(`HTTP/1.1 400 Bad Request\r\nserver: uvicorn\r\ncontent-length: ${text.length}\r\n\r\n${text}`)
    })
    await using front = new TestFront([pod.address])
    const response = await front.post("/v1/chat/completions", chat)
    expect([response.status, await response.text(), response.headers.get("server")]).toEqual([400, text, "uvicorn"])
    expect(front.scheduler.outcomes()).toEqual(["finished"])
    expect(front.scheduler.firstTokens).toEqual([])
  })

  test("an alias changes the model's name in the body and nothing else", async () => {
    using pod = new RawPod((socket) => socket.write(json({})))
    await using front = new TestFront([pod.address], { options: { aliases: new Map([["gpt-4o", "tiny"]]) } })
    await fetch(`${front.url}/v1/completions`, {
      method: "POST",
      body: "{\"a\": 1.0, \"model\":  \"gpt-4o\" , \"prompt\":\"model\"}"
    })
    expect(pod.received[0]).toEndWith("\r\n\r\n{\"a\": 1.0, \"model\":  \"tiny\" , \"prompt\":\"model\"}")
    expect(front.scheduler.picks[0]?.request.model).toBe("tiny")
  })

  test("a multipart request is routed by its model field and passes byte for byte", async () => {
    using pod = new RawPod((socket) => socket.write(json({ text: "hi" })))
    await using front = new TestFront([pod.address])
    const form = new FormData()
    form.set("file", new Blob([new Uint8Array([0, 255, 13, 10, 45, 45])]), "a.wav")
    form.set("model", "whisper")
    const response = await fetch(`${front.url}/v1/audio/transcriptions`, { method: "POST", body: form })
    expect(await response.json()).toEqual({ text: "hi" })
    expect(front.scheduler.picks[0]?.request.model).toBe("whisper")
    expect(pod.received[0]).toContain("filename=\"a.wav\"")
    expect(pod.received[0]).toContain("\r\n\r\n\x00\xff\r\n--\r\n--")
  })

  test.each([
    ["not JSON", "{", 400],
    ["not an object", "[1]", 400],
    ["no body", "", 400],
    ["a model that is no text", "{\"model\":7}", 400],
    ["a tower of brackets", `{"model":"m","tools":${"[".repeat(200_000)}${"]".repeat(200_000)}}`, 400]
  ])("a body that is %s is refused before any pick", async (_name, body, status) => {
    await using front = new TestFront([])
    const response = await fetch(`${front.url}/v1/chat/completions`, { method: "POST", body })
    const answer = (await response.json()) as { error: { type: string; message: string } }
    expect([response.status, answer.error.type, front.scheduler.picks.length]).toEqual([
      status,
      "invalid_request_error",
      0
    ])
    await front.quiet()
  })

  test("a body over the limit is 413, announced or not", async () => {
    await using front = new TestFront([], { options: { bodyBytesMax: 1_000 } })
    const announced = await fetch(`${front.url}/v1/completions`, { method: "POST", body: "x".repeat(1_500) })
    const pieces = new ReadableStream({
      start: (controller) => {
        for (let i = 0; i < 6; i++) controller.enqueue(new Uint8Array(200))
        controller.close()
      }
    })
    const chunked = await fetch(`${front.url}/v1/completions`, { method: "POST", body: pieces })
    expect([announced.status, chunked.status]).toEqual([413, 413])
    expect(((await announced.json()) as { error: { code: string } }).error.code).toBe("body_too_large")
  })

  test("a client that does not send its whole body in time is 408", async () => {
    await using front = new TestFront([], { options: { bodyReadTimeoutMs: 20 } })
    const headers = { "content-length": "100", "x-request-id": "slow-1" }
    const answer = await rawRequest(front.url, { method: "POST", path: "/v1/completions", headers })
    expect([answer.status, JSON.parse(new TextDecoder().decode(answer.body)).error.code]).toEqual([
      408,
      "body_timed_out"
    ])
    expect(headerOf(answer.headers, "x-request-id")).toBe("slow-1")
    expect(front.server.openRequests()).toBe(0)
  })

  test("more open requests than allowed are 429", async () => {
    using pod = new RawPod(() => {})
    await using front = new TestFront([pod.address], { options: { openRequestsMax: 1 } })
    const controller = new AbortController()
    front.post("/v1/completions", { model: "m", prompt: "x" }, { signal: controller.signal }).catch(() => {})
    await pod.until((pod) => pod.received.length === 1)
    const second = await front.post("/v1/completions", { model: "m", prompt: "x" })
    expect([second.status, second.headers.get("retry-after")]).toEqual([429, "1"])
    expect(second.headers.get("x-request-id")).toMatch(/^[0-9a-f]{32}$/)
    controller.abort()
    await front.quiet()
  })

  test("when our own sockets to every pod are all in use, it is 429 and no pod's fault", async () => {
    using pod = new RawPod(() => {})
    await using front = new TestFront([pod.address], { upstream: { connectionsMax: 1 } })
    const controller = new AbortController()
    front.post("/v1/completions", { model: "m", prompt: "x" }, { signal: controller.signal }).catch(() => {})
    await pod.until((pod) => pod.received.length === 1)
    expect((await front.post("/v1/completions", { model: "m", prompt: "x" })).status).toBe(429)
    expect(front.scheduler.failures).toEqual([])
    controller.abort()
    await front.quiet()
  })

  test("a defect is 500 and a line in the log", async () => {
    await using front = new TestFront([])
    front.scheduler.beforePick = () => Promise.reject(new TypeError("oops"))
    const response = await front.post("/v1/completions", { model: "m", prompt: "x" })
    expect([response.status, front.logged]).toEqual([500, ["a request failed by a defect of the gateway"]])
  })

  test("unknown routes are 404 and wrong methods 405, in OpenAI's shape", async () => {
    await using front = new TestFront([])
    const unknown = await fetch(`${front.url}/v1/nothing`)
    const wrong = await fetch(`${front.url}/v1/chat/completions`)
    const post = await fetch(`${front.url}/v1/models`, { method: "POST" })
    const nameless = await fetch(`${front.url}/v1/models/`)
    expect([unknown.status, wrong.status, wrong.headers.get("allow"), post.status]).toEqual([404, 405, "POST", 405])
    expect(nameless.status).toBe(404)
    expect(await unknown.json()).toEqual({
      error: { message: "no route GET /v1/nothing", type: "invalid_request_error", param: null, code: "unknown_route" }
    })
  })

  test.each([
    ["HEAD", "/livez", 200, null],
    ["HEAD", "/v1/models", 200, null],
    ["HEAD", "/metrics", 200, null],
    ["HEAD", "/v1/chat/completions", 405, "POST"],
    ["HEAD", "/nothing", 404, null],
    ["OPTIONS", "/v1/chat/completions", 405, "POST"],
    ["OPTIONS", "/v1/models", 405, "GET, HEAD"],
    ["OPTIONS", "/livez", 405, "GET, HEAD"],
    ["OPTIONS", "/nothing", 404, null]
  ])("%s %s is %d, with Allow where a method is wrong", async (method, path, status, allow) => {
    await using front = new TestFront([])
    const { headers, status: answered } = await rawRequest(front.url, { method, path })
    expect([answered, headerOf(headers, "allow") ?? null]).toEqual([status, allow])
    expect(front.refusals).toEqual(status === 200 ? [] : [status === 404 ? "unknown_route" : "method_not_allowed"])
  })

  test.each(["/livez", "/readyz", "/v1/models", "/metrics", "/v1/completions", "/nothing"])(
    "HEAD %s tells the length of what GET answers, and sends none of it",
    async (path) => {
      await using front = new TestFront([])
      const whole = await (await fetch(front.url + path)).bytes()
      expect(whole.length).toBeGreaterThan(0)
      const asked = `HEAD ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`
      const [head = "", body] = (await rawExchange(front.server.port, asked)).split("\r\n\r\n")
      expect(head.toLowerCase()).toContain(`\r\ncontent-length: ${whole.length}`)
      expect(body).toBe("")
    }
  )

  test("stopping lets open requests end and takes no new connections", async () => {
    const release = Promise.withResolvers<void>()
    using pod = new RawPod((socket) => void release.promise.then(() => socket.write(json({ late: true }))))
    const front = new TestFront([pod.address])
    const answer = front.post("/v1/completions", { model: "m", prompt: "x" })
    await pod.until((pod) => pod.received.length === 1)
    const stopped = front.server.stop(10_000)
    await expect(fetch(`${front.url}/livez`, { headers: { connection: "close" } })).rejects.toThrow()
    release.resolve()
    expect(await (await answer).json()).toEqual({ late: true })
    await stopped
    expect(front.server.openRequests()).toBe(0)
  })

  test("stopping breaks off what outlasts the grace", async () => {
    using pod = new RawPod(() => {})
    const front = new TestFront([pod.address])
    const answer = front.post("/v1/completions", { model: "m", prompt: "x" }).then(
      (response) => response.status,
      () => "gone"
    )
    await pod.until((pod) => pod.received.length === 1)
    await front.server.stop(10)
    expect(await answer).not.toBe(200)
    expect(front.scheduler.outcomes()).toHaveLength(1)
  })
})

describe("status routes", () => {
  const card = { id: "org/tiny", object: "model", max_model_len: 1_024 }

  test("models are listed with their fields, aliases as copies", async () => {
    await using front = new TestFront([], {
      models: [card],
      options: { aliases: new Map([["gpt", "org/tiny"], ["no", "none"]]) }
    })
    expect(await (await fetch(`${front.url}/v1/models`)).json()).toEqual({
      object: "list",
      data: [card, { ...card, id: "gpt" }]
    })
    expect(await (await fetch(`${front.url}/v1/models/org/tiny`)).json()).toEqual(card)
    expect(await (await fetch(`${front.url}/v1/models/org%2Ftiny`)).json()).toEqual(card)
    expect((await fetch(`${front.url}/v1/models/other`)).status).toBe(404)
  })

  test("ready means a healthy pod; otherwise the reasons are told", async () => {
    const address = podAddress("10.0.0.1", 8000, false)
    const status = { address, models: [], version: undefined }
    await using ready = new TestFront([address])
    await using sick = new TestFront([], { statuses: [{ ...status, health: "unhealthy", reason: "no answer" }] })
    await using none = new TestFront([])
    expect((await fetch(`${ready.url}/readyz`)).status).toBe(200)
    expect((await fetch(`${ready.url}/health`)).status).toBe(200)
    const answer = await fetch(`${sick.url}/readyz`)
    expect([answer.status, ((await answer.json()) as { reasons: unknown }).reasons]).toEqual([503, [
      "10.0.0.1:8000 is unhealthy: no answer"
    ]])
    expect((await fetch(`${none.url}/readyz`)).status).toBe(503)
    expect((await fetch(`${none.url}/livez`)).status).toBe(200)
  })

  test("version and metrics answer", async () => {
    await using front = new TestFront([])
    expect(await (await fetch(`${front.url}/version`)).json()).toEqual({ version: "1.2.3" })
    const metrics = await fetch(`${front.url}/metrics`)
    expect([metrics.headers.get("content-type"), await metrics.text()]).toEqual([
      "text/plain; version=0.0.4; charset=utf-8",
      "# nothing\n"
    ])
  })
})
