import Anthropic, { BadRequestError, NotFoundError } from "@anthropic-ai/sdk"
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { rejectionOf } from "../lib/rejectionOf.ts"
import { emulatedModel, startTestFleet, type TestFleet } from "../lib/testFleet.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"

const messages = [{ role: "user" as const, content: "Tell me about lighthouses." }]

describe("the @anthropic-ai/sdk package, against emulated pods", () => {
  let fleet: TestFleet
  let gateway: TestGateway
  let client: Anthropic

  beforeAll(async () => {
    fleet = await startTestFleet(2)
    gateway = await startTestGateway({ pods: fleet.urls })
    await gateway.healthyPods(2)
    client = new Anthropic({ baseURL: gateway.url, apiKey: "none", maxRetries: 0 })
  })

  afterAll(async () => {
    await gateway?.stop()
    await fleet?.stop()
  })

  test("a message has text and usage, and names its pod", async () => {
    const { data, response } = await client.messages.create({ model: emulatedModel, messages, max_tokens: 12 })
      .withResponse()
    const [block] = data.content
    expect(block?.type === "text" && block.text.length > 0).toBe(true)
    expect(data.stop_reason).toBe("max_tokens")
    expect(data.usage.output_tokens).toBe(12)
    expect(fleet.urls).toContain(`http://${response.headers.get("x-warmroute-pod")}`)
  })

  test("a streamed message adds up to its final message", async () => {
    const stream = client.messages.stream({ model: emulatedModel, messages, max_tokens: 20 })
    let text = ""
    stream.on("text", (delta) => void (text += delta))
    const final = await stream.finalMessage()
    const [block] = final.content
    expect(text.length).toBeGreaterThan(0)
    expect(block?.type === "text" && block.text).toBe(text)
    expect(final.usage.output_tokens).toBe(20)
  })

  test("a tool that must be used is used, whole and streamed", async () => {
    const asked: Anthropic.MessageCreateParamsNonStreaming = {
      model: emulatedModel,
      messages,
      max_tokens: 200,
      tools: [{
        name: "get_weather",
        input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
      }],
      tool_choice: { type: "tool", name: "get_weather" }
    }
    for (const message of [await client.messages.create(asked), await client.messages.stream(asked).finalMessage()]) {
      const use = message.content.find((block) => block.type === "tool_use")
      expect(use?.name).toBe("get_weather")
      expect(use?.input).toEqual({ city: expect.any(String) })
      expect(message.stop_reason).toBe("tool_use")
    }
  })

  test("tokens are counted without generating", async () => {
    const { input_tokens } = await client.messages.countTokens({ model: emulatedModel, messages })
    expect(input_tokens).toBeGreaterThan(3)
  })

  test("an unknown model is a 404 that says so", async () => {
    const error = await rejectionOf(client.messages.create({ model: "nobody-serves-this", messages, max_tokens: 4 }))
    expect(error).toBeInstanceOf(NotFoundError)
    expect((error as NotFoundError).message).toContain("nobody-serves-this")
  })

  test("a body that the pod refuses is a 400", async () => {
    const error = await rejectionOf(
      client.messages.create({ model: emulatedModel, messages, max_tokens: 4 }, { body: { temperature: -1 } })
    )
    expect(error).toBeInstanceOf(BadRequestError)
  })

  test("an aborted stream releases its reservation and leaves the pod idle", async () => {
    const stream = client.messages.stream({ model: emulatedModel, messages, max_tokens: 30_000 })
    for await (const event of stream) {
      if (event.type === "content_block_delta") break
    }
    stream.abort()
    await gateway.becomesIdle()
    await fleet.becomesIdle()
  })
})
