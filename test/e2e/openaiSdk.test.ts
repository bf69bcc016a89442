import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import OpenAI, {
  APIConnectionTimeoutError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
  toFile
} from "openai"
import { rejectionOf } from "../lib/rejectionOf.ts"
import { emulatedModel, startTestFleet, type TestFleet } from "../lib/testFleet.ts"
import type { PodConnection } from "../lib/rawPod.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { event, streamHead } from "../lib/streamedAnswer.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"

const clientOf = (gateway: TestGateway): OpenAI =>
  new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 })

const messages = [{ role: "user" as const, content: "Tell me about lighthouses." }]

describe("the openai package, against emulated pods", () => {
  let fleet: TestFleet
  let gateway: TestGateway
  let client: OpenAI

  beforeAll(async () => {
    fleet = await startTestFleet(2)
    gateway = await startTestGateway({ pods: fleet.urls })
    await gateway.healthyPods(2)
    client = clientOf(gateway)
  })

  afterAll(async () => {
    await gateway?.stop()
    await fleet?.stop()
  })

  test("a chat completion has content and usage, and names its pod", async () => {
    const { data, response } = await client.chat.completions.create({ model: emulatedModel, messages, max_tokens: 12 })
      .withResponse()
    expect(data.choices[0]?.message.content?.length).toBeGreaterThan(0)
    expect(data.usage?.completion_tokens).toBe(12)
    expect(data.choices[0]?.finish_reason).toBe("length")
    expect(fleet.urls).toContain(`http://${response.headers.get("x-warmroute-pod")}`)
  })

  test("a streamed chat arrives in many chunks that end with the usage", async () => {
    const stream = await client.chat.completions.create({
      model: emulatedModel,
      messages,
      max_tokens: 20,
      stream: true,
      stream_options: { include_usage: true }
    })
    let text = ""
    let contentChunks = 0
    let completionTokens: number | undefined
    for await (const chunk of stream) {
      const delta = chunk.choices[0]?.delta.content ?? ""
      if (delta !== "") contentChunks++
      text += delta
      completionTokens = chunk.usage?.completion_tokens ?? completionTokens
    }
    expect(text.length).toBeGreaterThan(0)
    expect(contentChunks).toBeGreaterThan(5)
    expect(completionTokens).toBe(20)
  })

  test("the same long prompt again is answered by the same pod from its cache", async () => {
    const long = [{ role: "user" as const, content: "The keeper climbs the stairs at dusk. ".repeat(200) }]
    const ask = () =>
      client.chat.completions.create({ model: emulatedModel, messages: long, max_tokens: 4 }).withResponse()
    const first = await ask()
    const second = await ask()
    expect(second.response.headers.get("x-warmroute-pod")).toBe(first.response.headers.get("x-warmroute-pod"))
    expect(second.data.usage?.prompt_tokens_details?.cached_tokens).toBeGreaterThan(
      0.9 * (second.data.usage?.prompt_tokens ?? Infinity)
    )
  })

  test("completions, responses, embeddings and models answer", async () => {
    const completion = await client.completions.create({ model: emulatedModel, prompt: "Once upon", max_tokens: 5 })
    expect(completion.choices[0]?.text.length).toBeGreaterThan(0)
    const response = await client.responses.create({ model: emulatedModel, input: "Hello", max_output_tokens: 5 })
    expect(response.output_text.length).toBeGreaterThan(0)
    const embedding = await client.embeddings.create({ model: emulatedModel, input: "Hello", encoding_format: "float" })
    expect(embedding.data[0]?.embedding.length).toBeGreaterThan(0)
    const models = await client.models.list()
    expect(models.data.map((model) => model.id)).toContain(emulatedModel)
    expect((await client.models.retrieve(emulatedModel)).id).toBe(emulatedModel)
  })

  test("an audio file goes to a pod as the multipart body that the client made", async () => {
    const file = await toFile(crypto.getRandomValues(new Uint8Array(40_000)), "speech.wav")
    const transcript = await client.audio.transcriptions.create({ model: emulatedModel, file })
    expect(transcript.text.length).toBeGreaterThan(0)
  })

  test("streamed responses and completions come to their last event", async () => {
    const events: Array<string> = []
    for await (
      const event of await client.responses.create({
        model: emulatedModel,
        input: "Hello",
        max_output_tokens: 5,
        stream: true
      })
    ) events.push(event.type)
    expect(events[0]).toBe("response.created")
    expect(events.at(-1)).toMatch(/^response\.(completed|incomplete)$/)
    let text = ""
    for await (
      const chunk of await client.completions.create({
        model: emulatedModel,
        prompt: "Once",
        max_tokens: 5,
        stream: true
      })
    ) text += chunk.choices[0]?.text ?? ""
    expect(text.length).toBeGreaterThan(0)
  })

  const tools: Array<OpenAI.Chat.Completions.ChatCompletionFunctionTool> = [{
    type: "function",
    function: {
      name: "get_weather",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
    }
  }]
  const toolChoice = { type: "function" as const, function: { name: "get_weather" } }

  test("a tool call comes whole, and streamed in pieces that make the same call", async () => {
    const asked = { model: emulatedModel, messages, tools, tool_choice: toolChoice, max_tokens: 200 }
    const whole = await client.chat.completions.create(asked)
    const [call] = whole.choices[0]?.message.tool_calls ?? []
    if (call?.type !== "function") throw new Error("no function was called")
    expect(call.function.name).toBe("get_weather")
    expect(JSON.parse(call.function.arguments)).toEqual({ city: expect.any(String) })
    let name = ""
    let args = ""
    for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
      const [piece] = chunk.choices[0]?.delta.tool_calls ?? []
      name += piece?.function?.name ?? ""
      args += piece?.function?.arguments ?? ""
    }
    expect(name).toBe("get_weather")
    expect(JSON.parse(args)).toEqual({ city: expect.any(String) })
  })

  test("an unknown model is a 404 that says so", async () => {
    const error = await rejectionOf(client.chat.completions.create({ model: "nobody-serves-this", messages }))
    expect(error).toBeInstanceOf(NotFoundError)
    expect((error as NotFoundError).code).toBe("model_not_found")
    expect((error as NotFoundError).message).toContain("nobody-serves-this")
    expect(await rejectionOf(client.models.retrieve("nobody-serves-this"))).toBeInstanceOf(NotFoundError)
  })

  test("a 400 of the pod's passes through as the pod said it", async () => {
    const error = await rejectionOf(
      client.chat.completions.create({ model: emulatedModel, messages, temperature: -1 })
    )
    expect(error).toBeInstanceOf(BadRequestError)
    expect((error as BadRequestError).message).toContain("temperature")
  })

  test("an aborted stream releases its reservation and leaves the pod idle", async () => {
    const stream = await client.chat.completions.create({
      model: emulatedModel,
      messages,
      max_tokens: 30_000,
      stream: true
    })
    for await (const chunk of stream) {
      if ((chunk.choices[0]?.delta.content ?? "") !== "") break
    }
    stream.controller.abort()
    await gateway.becomesIdle()
    await fleet.becomesIdle()
  })
})

describe("the openai package, when things go wrong", () => {
  test("no pod at all is a 503", async () => {
    const gateway = await startTestGateway({ pods: ["http://127.0.0.1:9"] })
    const error = await rejectionOf(clientOf(gateway).chat.completions.create({ model: "any", messages }))
    expect(error).toBeInstanceOf(InternalServerError)
    expect((error as InternalServerError).status).toBe(503)
    await gateway.stop()
  })

  test("a pod that never begins its answer is a 504", async () => {
    const taken = Promise.withResolvers<{ readonly closed: Promise<void> }>()
    const pod = startScriptedPod((_request, connection) => taken.resolve(connection))
    const gateway = await startTestGateway({
      pods: [pod.url],
      config: { limits: { firstByteTimeout: "200 millis", retriesMax: 0 } }
    })
    await gateway.healthyPods(1)
    const error = await rejectionOf(clientOf(gateway).chat.completions.create({ model: "tiny", messages }))
    expect((error as InternalServerError).status).toBe(504)
    expect((error as InternalServerError).code).toBe("first_byte_timed_out")
    await (await taken.promise).closed
    await gateway.becomesIdle()
    await gateway.stop()
    pod.stop()
  })

  test("one request more than the gateway may have open is a 429 with a time to wait", async () => {
    const taken = Promise.withResolvers<PodConnection>()
    const pod = startScriptedPod((_request, connection) => taken.resolve(connection))
    const gateway = await startTestGateway({ pods: [pod.url], config: { limits: { openRequestsMax: 1 } } })
    await gateway.healthyPods(1)
    const client = clientOf(gateway)
    const first = client.completions.create({ model: "tiny", prompt: "first" })
    const connection = await taken.promise
    const error = await rejectionOf(client.completions.create({ model: "tiny", prompt: "second" }))
    expect(error).toBeInstanceOf(RateLimitError)
    expect(Number((error as RateLimitError).headers.get("retry-after"))).toBeGreaterThan(0)
    connection.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
    expect(await first).toBeObject()
    await gateway.becomesIdle()
    await gateway.stop()
    pod.stop()
  })

  test("an alias reaches the pods as the model that they serve", async () => {
    const fleet = await startTestFleet(1)
    const gateway = await startTestGateway({
      pods: fleet.urls,
      config: { models: { aliases: { "house-model": emulatedModel } } }
    })
    await gateway.healthyPods(1)
    const answer = await clientOf(gateway).chat.completions.create({ model: "house-model", messages, max_tokens: 3 })
    expect(answer.model).toBe(emulatedModel)
    await gateway.stop()
    await fleet.stop()
  })

  test("a pod's own 503 reaches the client with the pod's words", async () => {
    const body = JSON.stringify({
      error: { message: "The engine is currently busy", type: "Service Unavailable", param: null, code: 503 }
    })
    const pod = startScriptedPod((_request, connection) =>
      connection.send(
        `HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
      )
    )
    const gateway = await startTestGateway({ pods: [pod.url] })
    await gateway.healthyPods(1)
    const error = await rejectionOf(clientOf(gateway).chat.completions.create({ model: "tiny", messages }))
    expect((error as InternalServerError).status).toBe(503)
    expect((error as InternalServerError).message).toContain("The engine is currently busy")
    await gateway.stop()
    pod.stop()
  })

  test("a client that gives up waiting takes its request away from the pod", async () => {
    const taken = Promise.withResolvers<{ readonly closed: Promise<void> }>()
    const pod = startScriptedPod((_request, connection) => taken.resolve(connection))
    const gateway = await startTestGateway({ pods: [pod.url] })
    await gateway.healthyPods(1)
    const asked = rejectionOf(clientOf(gateway).chat.completions.create({ model: "tiny", messages }, { timeout: 300 }))
    const connection = await taken.promise
    expect(await asked).toBeInstanceOf(APIConnectionTimeoutError)
    await connection.closed
    await gateway.becomesIdle()
    await gateway.stop()
    pod.stop()
  })

  test("a stream that is aborted closes the pod's connection", async () => {
    const taken = Promise.withResolvers<{ readonly closed: Promise<void> }>()
    const chunk = JSON.stringify({
      id: "x",
      object: "chat.completion.chunk",
      created: 1,
      model: "tiny",
      choices: [{ index: 0, delta: { content: "hi" }, finish_reason: null }]
    })
    const pod = startScriptedPod((_request, connection) => {
      connection.send(streamHead + event(chunk))
      taken.resolve(connection)
    })
    const gateway = await startTestGateway({ pods: [pod.url] })
    await gateway.healthyPods(1)
    const stream = await clientOf(gateway).chat.completions.create({ model: "tiny", messages, stream: true })
    for await (const part of stream) {
      expect(part.choices[0]?.delta.content).toBe("hi")
      break
    }
    const connection = await taken.promise
    await connection.closed
    await gateway.becomesIdle()
    await gateway.stop()
    pod.stop()
  })
})
