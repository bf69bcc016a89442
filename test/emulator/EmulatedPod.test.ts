import { afterAll, describe, expect, test } from "bun:test"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import { type EmulatedPodOptions, startEmulatedFleet, startEmulatedPod } from "../../src/emulator/EmulatedPod.ts"

const small = hardwarePresets["small"]!
const started: Array<{ readonly stop: () => Promise<void> }> = []
afterAll(() => Promise.all(started.map((pod) => pod.stop())))

const start = (options: Partial<EmulatedPodOptions> = {}) => {
  const pod = startEmulatedPod({ constants: small, model: "m", speed: 500, ...options })
  started.push(pod)
  return pod
}

const post = (url: string, path: string, body: unknown, init: RequestInit = {}) =>
  fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    ...init
  })

interface ChatBody {
  readonly choices: ReadonlyArray<{
    readonly message: {
      readonly content: string | null
      readonly tool_calls?: ReadonlyArray<{ readonly function: { readonly name: string; readonly arguments: string } }>
    }
    readonly finish_reason: string
  }>
  readonly usage: {
    readonly prompt_tokens: number
    readonly completion_tokens: number
    readonly prompt_tokens_details: { readonly cached_tokens: number }
  }
}

const chat = async (url: string, body: object): Promise<ChatBody> => {
  const response = await post(url, "/v1/chat/completions", body)
  return await response.json() as ChatBody
}

const longPrompt = "The quick brown fox jumps over the lazy dog. ".repeat(40)
const user = (content: string) => ({ role: "user", content })

/** Content of a streamed chat answer, its chunks joined. */
const streamedText = (sse: string): string =>
  sse.split("\n\n")
    .filter((event) => event.startsWith("data: {"))
    .map((event) => {
      const chunk = JSON.parse(event.slice(6)) as { choices: ReadonlyArray<{ delta: { content?: string } }> }
      return chunk.choices[0]?.delta.content ?? ""
    })
    .join("")

/** Waits for a condition that other events of this process bring about. */
const until = async (condition: () => boolean): Promise<void> => {
  const deadlineMs = performance.now() + 10_000
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error("the condition did not come true")
    await Bun.sleep(1)
  }
}

describe("answers of an emulated pod", () => {
  test("are the same for the same prompt, streamed or not", async () => {
    const pod = start()
    const body = { messages: [user("Tell me something")], max_tokens: 40 }
    const [first, second] = [await chat(pod.url, body), await chat(pod.url, body)]
    const streamed = await (await post(pod.url, "/v1/chat/completions", { ...body, stream: true })).text()
    expect(second.choices[0]!.message.content).toBe(first.choices[0]!.message.content)
    expect(streamedText(streamed)).toBe(first.choices[0]!.message.content!)
  })

  test("differ between prompts and between the choices of one prompt", async () => {
    const pod = start()
    const one = await chat(pod.url, { messages: [user("one")], max_tokens: 12, n: 2 })
    const two = await chat(pod.url, { messages: [user("two")], max_tokens: 12 })
    const texts = [...one.choices, ...two.choices].map((choice) => choice.message.content)
    expect(new Set(texts).size).toBe(3)
    expect(one.usage.completion_tokens).toBe(24)
  })

  test("end by themselves without a limit, and fill the limit when told to ignore the end", async () => {
    const pod = start({ outputTokensMean: 20 })
    const free = await chat(pod.url, { messages: [user("x")] })
    expect(free.choices[0]!.finish_reason).toBe("stop")
    expect(free.usage.completion_tokens).toBeLessThan(40)
    const full = await chat(pod.url, { messages: [user("x")], max_tokens: 300, ignore_eos: true })
    expect([full.choices[0]!.finish_reason, full.usage.completion_tokens]).toEqual(["length", 300])
  })

  test("come in events of the stream interval and lose nothing", async () => {
    const pod = start({ streamInterval: 16 })
    for (const path of ["/v1/chat/completions", "/v1/completions"]) {
      const body = { messages: [user("Tell me")], prompt: "Tell me", max_tokens: 40, ignore_eos: true }
      const whole = await (await post(pod.url, path, body)).json()
      const streamed = await (await post(pod.url, path, { ...body, stream: true })).text()
      const events = streamed.split("\n\n").filter((event) => event.startsWith("data: {")).map((event) =>
        JSON.parse(event.slice(6)).choices[0]
      )
      const text = events.map(({ delta, text }) => delta?.content ?? text ?? "").join("")
      expect(text).toBe(whole.choices[0].message?.content ?? whole.choices[0].text)
      // One token an event would be 40; an event may end early where a busy machine wakes the pod late.
      expect(events.length).toBeLessThanOrEqual(8)
      expect(events.at(-1).finish_reason).toBe("length")
    }
  })

  test("stop before a stop string and name it", async () => {
    const pod = start()
    const body = { messages: [user("stop me")], max_tokens: 200, ignore_eos: true }
    const whole = (await chat(pod.url, body)).choices[0]!.message.content!
    const stop = whole.slice(30, 35)
    const cut = await post(pod.url, "/v1/chat/completions", { ...body, stop }).then((answer) => answer.json())
    expect(cut.choices[0].message.content).toBe(whole.slice(0, whole.indexOf(stop)))
    expect([cut.choices[0].finish_reason, cut.choices[0].stop_reason]).toEqual(["stop", stop])
  })

  test("call the tool that tool_choice forces, with arguments of its schema", async () => {
    const pod = start()
    const parameters = {
      type: "object",
      properties: { city: { type: "string" }, days: { type: "integer" }, unit: { enum: ["C", "F"] } }
    }
    const tools = [{ type: "function", function: { name: "weather", parameters } }]
    const body = { messages: [user("weather?")], tools, tool_choice: "required" }
    const answer = await chat(pod.url, body)
    const call = answer.choices[0]!.message.tool_calls![0]!.function
    expect([answer.choices[0]!.finish_reason, call.name]).toEqual(["tool_calls", "weather"])
    expect(JSON.parse(call.arguments)).toEqual({ city: "lorem ipsum", days: 1, unit: "C" })
    const stream = await (await post(pod.url, "/v1/chat/completions", { ...body, stream: true })).text()
    expect(stream).toContain("\"function\":{\"name\":\"weather\",\"arguments\":\"\"}")
    expect(stream).toContain("\"finish_reason\":\"tool_calls\"")
  })

  test("on the Messages API carry tool use, stop sequences and errors in Anthropic's words", async () => {
    const pod = start()
    const tool = { name: "weather", input_schema: { type: "object", properties: { city: { type: "string" } } } }
    const body = { model: "m", max_tokens: 50, messages: [user("hi")] }
    const send = async (more: object) => (await post(pod.url, "/v1/messages", { ...body, ...more })).json()
    const called = await send({ tools: [tool], tool_choice: { type: "tool", name: "weather" } })
    expect(called.stop_reason).toBe("tool_use")
    expect(called.content[0]).toMatchObject({ type: "tool_use", name: "weather", input: { city: "lorem ipsum" } })
    const text = (await send({})).content[0].text as string
    const stopped = await send({ stop_sequences: [text.slice(10, 14)] })
    expect([stopped.stop_reason, stopped.stop_sequence]).toEqual(["stop_sequence", text.slice(10, 14)])
    const message = "The model `nope` does not exist. Valid aliases: m."
    expect(await send({ model: "nope" })).toEqual({ type: "error", error: { type: "NotFoundError", message } })
  })

  test("tokens go to text and back", async () => {
    const pod = start()
    const tokens = await post(pod.url, "/tokenize", { prompt: "Grüße, 世界 👋", add_special_tokens: false })
      .then((answer) => answer.json())
    const text = await post(pod.url, "/detokenize", { tokens: tokens.tokens }).then((answer) => answer.json())
    expect(text).toEqual({ prompt: "Grüße, 世界 👋" })
  })
})

describe("the cache of an emulated pod", () => {
  const cachedTokens = async (url: string, body: object) =>
    (await chat(url, { max_tokens: 2, ...body })).usage.prompt_tokens_details.cached_tokens

  test("hits for the same prompt, and for the next turn with the answer in it", async () => {
    const pod = start()
    const messages = [user(longPrompt)]
    const first = await chat(pod.url, { messages, max_tokens: 100, ignore_eos: true })
    expect(first.usage.prompt_tokens_details.cached_tokens).toBe(0)
    expect(await cachedTokens(pod.url, { messages })).toBeGreaterThan(400)
    const next = [...messages, { role: "assistant", content: first.choices[0]!.message.content }, user("Go on")]
    const known = first.usage.prompt_tokens + 99
    expect(await cachedTokens(pod.url, { messages: next })).toBe(Math.floor(known / 16) * 16)
  })

  test("is not shared across cache salts or adapters", async () => {
    const pod = start({ loraAdapters: ["adapter"] })
    const messages = [user(longPrompt)]
    await cachedTokens(pod.url, { messages })
    expect(await cachedTokens(pod.url, { messages, cache_salt: "a" })).toBe(0)
    expect(await cachedTokens(pod.url, { messages, model: "adapter" })).toBe(0)
    expect(await cachedTokens(pod.url, { messages, model: "adapter" })).toBeGreaterThan(400)
  })

  test("is empty after a reset", async () => {
    const pod = start()
    const messages = [user(longPrompt)]
    await cachedTokens(pod.url, { messages })
    expect(await post(pod.url, "/reset_prefix_cache", {}).then((answer) => answer.json())).toEqual({ success: true })
    expect(await cachedTokens(pod.url, { messages })).toBe(0)
  })
})

describe("an emulated pod under load", () => {
  test("frees everything when streaming and waiting clients leave", async () => {
    const pod = start({ speed: 1, maxNumSeqs: 1 })
    const body = { messages: [user(longPrompt)], max_tokens: 5000, ignore_eos: true, stream: true }
    const leaving = new AbortController()
    const streaming = await post(pod.url, "/v1/chat/completions", body, { signal: leaving.signal })
    const reader = streaming.body!.getReader()
    await reader.read()
    const waiting = post(pod.url, "/v1/chat/completions", { ...body, stream: false }, { signal: leaving.signal })
    await until(() => pod.engine.waiting.length === 1)
    leaving.abort()
    await Promise.allSettled([reader.read(), waiting])
    await until(() => !pod.engine.hasWork)
    expect(pod.engine.kvUsage).toBe(0)
    expect(pod.engine.counters.abortedRequests).toBe(2)
  })

  test("gives every one of many streams all its tokens", async () => {
    const pod = start({ speed: 200 })
    const streams = await Promise.all(Array.from({ length: 60 }, async (_, index) => {
      const body = { prompt: `prompt ${index}`, max_tokens: 50, ignore_eos: true, stream: true }
      return (await post(pod.url, "/v1/completions", body)).text()
    }))
    for (const stream of streams) {
      expect(stream.match(/"text":"/g)?.length).toBe(50)
      expect(stream.endsWith("data: [DONE]\n\n")).toBe(true)
    }
    expect(pod.engine.counters.generationTokens).toBe(3000)
  })

  test("holds back the text of a slow reader, and loses none of it", async () => {
    const pod = start({ speed: 5000 })
    const body = { prompt: "slow", max_tokens: 20_000, ignore_eos: true, stream: true }
    const response = await post(pod.url, "/v1/completions", body)
    await until(() => pod.engine.counters.generationTokens === 20_000)
    expect((await response.text()).match(/"text":"/g)?.length).toBe(20_000)
  })

  test("keeps to its clock: a request takes as long as the model says", async () => {
    const pod = start({ speed: 20 })
    const startedMs = performance.now()
    await post(pod.url, "/v1/completions", { prompt: "a b c", max_tokens: 40, ignore_eos: true }).then((a) => a.text())
    const elapsedS = (performance.now() - startedMs) / 1000
    const { endToEndS } = pod.engine.counters
    const modelS = 40 * (small.weightReadS + small.stepFixedS)
    expect(elapsedS).toBeGreaterThan(modelS / 20)
    expect(endToEndS.sum).toBeGreaterThan(modelS)
    expect(endToEndS.sum).toBeLessThan(modelS * 1.05)
  })

  test("reads bodies of more than the gateway lets through, as vLLM does, which has no limit", async () => {
    const { url } = start()
    const response = await fetch(`${url}/v1/completions`, { method: "POST", body: new Uint8Array(65 * 1024 * 1024) })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { code: 400 } })
  })

  test("stopping it breaks off what runs", async () => {
    const pod = start({ speed: 1 })
    const running = post(pod.url, "/v1/completions", { prompt: "a b c", max_tokens: 5000, ignore_eos: true })
      .then((answer) => answer.status, () => "broken off")
    await until(() => pod.engine.running.length === 1)
    await pod.stop()
    expect(await running).not.toBe(200)
    expect(pod.engine.hasWork).toBe(false)
  })
})

describe("routes that do not generate", () => {
  const jsonOf = async (path: string, body: object) => (await post(start().url, path, body)).json()

  test("embeddings come as floats or base64 of the same vector", async () => {
    const floats = await jsonOf("/v1/embeddings", { input: ["a", "b"], dimensions: 8 })
    const encoded = await jsonOf("/v1/embeddings", { input: ["a"], dimensions: 8, encoding_format: "base64" })
    const vector = new Float32Array(Uint8Array.fromBase64(encoded.data[0].embedding).buffer)
    expect(floats.data.length).toBe(2)
    expect([...vector]).toEqual(floats.data[0].embedding.map(Math.fround))
  })

  test.each(["/v1/rerank", "/rerank", "/v2/rerank"])("%s sorts documents by relevance", async (path) => {
    const { results } = await jsonOf(path, { query: "q", documents: ["a", "b", "c"] })
    const scores = results.map((result: { relevance_score: number }) => result.relevance_score)
    expect(scores).toEqual([...scores].sort((a, b) => b - a))
  })

  test.each([
    ["/v1/score", { text_1: "a", text_2: ["b", "c"] }, 2],
    ["/score", { queries: "a", documents: ["b"] }, 1],
    ["/classify", { input: ["a", "b"] }, 2],
    ["/pooling", { input: "a" }, 1]
  ])("%s answers one entry an input", async (path, body, count) => {
    expect((await jsonOf(path, body)).data.length).toBe(count)
  })

  test.each(["transcriptions", "translations"])("audio %s take a multipart form", async (route) => {
    const form = new FormData()
    form.set("file", new Blob([new Uint8Array(100_000)]), "speech.wav")
    form.set("model", "m")
    const answer = await fetch(`${start().url}/v1/audio/${route}`, { method: "POST", body: form })
    expect((await answer.json()).text.length).toBeGreaterThan(0)
  })
})

describe("startEmulatedFleet", () => {
  test("starts pods on ports of their own", async () => {
    const fleet = startEmulatedFleet(3, 0, { constants: small })
    started.push(fleet)
    expect(new Set(fleet.urls).size).toBe(3)
    const answers = await Promise.all(fleet.urls.map((url) => fetch(`${url}/health`)))
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200])
  })

  test("throws when a port is taken", () => {
    const pod = start()
    expect(() => startEmulatedFleet(1, pod.port, { constants: small })).toThrow()
  })
})
