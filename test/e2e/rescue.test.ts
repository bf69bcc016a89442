import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import { type EmulatedFleet, type EmulatedPod, startEmulatedFleet } from "../../src/emulator/EmulatedPod.ts"
import { type Asked, type Heard, openStream } from "../lib/heardStream.ts"
import { emulatedModel } from "../lib/testFleet.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"

const paths = { chat: "/v1/chat/completions", completions: "/v1/completions" }

const ask = (kind: keyof typeof paths, subject: string, more: object = {}): Asked => ({
  path: paths[kind],
  body: {
    model: emulatedModel,
    ...(kind === "chat" ? { messages: [{ role: "user", content: subject }] } : { prompt: subject }),
    max_tokens: 300,
    ignore_eos: true,
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
    ...more
  }
})

const undisturbed = async (url: string, asked: Asked): Promise<Heard> => (await openStream(url, asked)).end

let fleet: EmulatedFleet
let gateway: TestGateway

const podNamed = (id: string): EmulatedPod => {
  const pod = fleet.pods.find(({ url }) => new URL(url).host === id)
  if (pod === undefined) throw new Error(`there is no pod ${id}`)
  return pod
}

const metric = async (name: string): Promise<string | undefined> =>
  (await (await fetch(`${gateway.url}/metrics`)).text()).split("\n").find((line) => line.startsWith(name))

beforeEach(async () => {
  const constants = hardwarePresets["small"]
  if (constants === undefined) throw new Error("the preset small is gone")
  fleet = startEmulatedFleet(3, 0, { model: emulatedModel, speed: 10, constants })
  gateway = await startTestGateway({ pods: fleet.urls, policy: "round-robin" })
  await gateway.healthyPods(3)
})

afterEach(async () => {
  await gateway.becomesIdle()
  await gateway.stop()
  await fleet.stop()
})

describe("a pod is killed under its streams", () => {
  test("and every client reads what it would have read, as one stream", async () => {
    const asked = Array.from({ length: 20 }, (_, i) => ask(i % 2 === 0 ? "chat" : "completions", `story ${i}`))
    const [, , last] = fleet.urls
    const whole = await Promise.all(asked.map((each) => undisturbed(last ?? "", each)))
    const streams = await Promise.all(asked.map((each) => openStream(gateway.url, each)))
    const victim = streams[0]?.pod ?? ""
    const hit = streams.filter(({ pod }) => pod === victim).length
    expect(hit).toBeGreaterThan(3)
    await podNamed(victim).stop()
    const ends = await Promise.all(streams.map(({ end }) => end))
    for (const [i, end] of ends.entries()) {
      expect(end.error).toBeUndefined()
      expect([end.text, end.finishReason, end.isWhole]).toEqual([whole[i]?.text ?? "", "length", true])
      expect(end.ids).toHaveLength(1)
      expect(end.roles).toBe(i % 2 === 0 ? 1 : 0)
      const { prompt_tokens, completion_tokens, total_tokens } = whole[i]?.usage ?? {}
      expect(end.usage).toMatchObject({ prompt_tokens, completion_tokens, total_tokens })
    }
    expect(await metric("warmroute_rescues_total{outcome=\"whole\"}")).toEndWith(` ${hit}`)
  })

  test("and then the next one too", async () => {
    const asked = ask("chat", "twice unlucky", { max_tokens: 500 })
    const whole = await undisturbed(fleet.urls[0] ?? "", asked)
    const stream = await openStream(gateway.url, asked)
    await podNamed(stream.pod).stop()
    const second = (): EmulatedPod | undefined => fleet.pods.find((pod) => pod.engine.running.length > 0)
    while (second() === undefined || (second()?.engine.running[0]?.outputDone ?? 0) < 5) await Bun.sleep(1)
    await second()?.stop()
    expect(await stream.end).toMatchObject({ text: whole.text, isWhole: true, error: undefined })
  })

  test("and an answer that ends by itself still does", async () => {
    const asked = ask("chat", "to its own end", { ignore_eos: false, max_tokens: undefined })
    const whole = await undisturbed(fleet.urls[0] ?? "", asked)
    expect(whole.finishReason).toBe("stop")
    const stream = await openStream(gateway.url, asked)
    await podNamed(stream.pod).stop()
    expect(await stream.end).toMatchObject({ text: whole.text, finishReason: "stop", isWhole: true })
  })

  test.each([
    ["the client refused", {}, { "x-warmroute-rescue": "off" }],
    ["tools are offered", { tools: [{ type: "function", function: { name: "f", parameters: {} } }] }, {}],
    ["two answers were asked for", { n: 2 }, {}],
    ["logprobs were asked for", { logprobs: true }, {}]
  ])("and the stream ends with an error event when %s", async (_why, more, headers) => {
    const stream = await openStream(gateway.url, ask("chat", "no rescue", more), headers as Record<string, string>)
    await podNamed(stream.pod).stop()
    const end = await stream.end
    expect(end.error).toMatchObject({ code: expect.any(String) })
    expect(end.isWhole).toBe(false)
  })
})

test("clients see no token ids unless they ask for them", async () => {
  const read = async (more: object): Promise<string> => {
    const { body, path } = ask("chat", "ids", { max_tokens: 5, ...more })
    return (await fetch(gateway.url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body)
    })).text()
  }
  expect(await read({})).not.toContain("token_ids\":[")
  expect(await read({ return_token_ids: true })).toContain("\"token_ids\":[")
})
