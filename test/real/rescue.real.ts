import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { eventually } from "../lib/eventually.ts"
import { type Asked, openStream } from "../lib/heardStream.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"
import { installVllm, startVllmPod, vllmInstalled, type VllmPod } from "./realVllm.ts"

const wanted = process.env.WARMROUTE_REAL_VLLM === "1" || vllmInstalled()
const streamCount = 20
const outputTokens = 400
/**
 * The model with more layers: with so few as it has, its engine outruns its own HTTP server, which then stands still for
 * seconds and has all of a stream to send when it speaks.
 */
const slowly = ["--hf-overrides", JSON.stringify({ num_hidden_layers: 24 })]

/**
 * The penalty keeps this model of random weights from saying one word for ever: what it says is a word salad that no
 * tokenizer would cut the same way again, so only the very tokens go on with the very text.
 */
const asked = (i: number): Asked => ({
  path: i % 2 === 0 ? "/v1/chat/completions" : "/v1/completions",
  body: {
    model: "tiny",
    ...(i % 2 === 0 ? { messages: [{ role: "user", content: `Story ${i * 37}` }] } : { prompt: `Once upon ${i * 37}` }),
    max_tokens: outputTokens,
    temperature: 0,
    repetition_penalty: 1.5,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true }
  }
})

interface Said {
  /** Some output came. */
  readonly hasBegun: () => boolean
  /** Its text; of a stream that did not come to its last event all that came. */
  readonly end: Promise<string>
}

/** Streams over prompts that take this model a while to read, each its own. */
const askLong = (url: string): ReadonlyArray<Said> =>
  Array.from({ length: 18 }, (_, i) => {
    const prompt = `${i} harbours and kilns `.repeat(300)
    return i % 3 === 0
      ? said(url, "/v1/messages", { messages: [{ role: "user", content: prompt }], max_tokens: 12 })
      : said(url, "/v1/responses", { input: prompt, max_output_tokens: 12 })
  })

const said = (url: string, path: string, body: Readonly<Record<string, unknown>>): Said => {
  let stream = ""
  const listen = async (): Promise<string> => {
    const response = await fetch(url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "tiny", temperature: 0, stream: true, ...body })
    })
    const decoder = new TextDecoder()
    const reader = response.body?.getReader()
    for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) {
      stream += decoder.decode(next.value, { stream: true })
    }
    const events = [...stream.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data ?? ""))
    if (!["message_stop", "response.completed"].includes(events.at(-1)?.type)) return `${response.status} ${stream}`
    return events.map(({ delta }) => typeof delta === "string" ? delta : delta?.text ?? "").join("")
  }
  return { hasBegun: () => stream.includes(".delta\n") || stream.includes("_delta\n"), end: listen() }
}

/**
 * The pod whose streams were the first, `count` of them, to say something. Who waited for all twenty could find the
 * first ones ended on a machine whose other pod is slow to begin.
 */
const podThatSpeaks = (streams: ReadonlyArray<ReturnType<typeof openStream>>, count: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const begun = new Map<string, number>()
    for (const stream of streams) {
      stream.then(({ pod }) => {
        begun.set(pod, (begun.get(pod) ?? 0) + 1)
        if (begun.get(pod) === count) resolve(pod)
      }, reject)
    }
  })

describe.skipIf(!wanted)("streams of real vLLM pods whose pod is killed", () => {
  let pods: ReadonlyArray<VllmPod> = []
  let gateway: TestGateway

  beforeAll(async () => {
    if (!vllmInstalled()) await installVllm()
    pods = [startVllmPod(slowly), startVllmPod(slowly), startVllmPod(slowly)]
    await Promise.all(pods.map((pod) => pod.ready))
    gateway = await startTestGateway({
      pods: pods.map((pod) => pod.url),
      policy: "round-robin",
      // A pod on a crowded machine may stand still for ten seconds, and here it is the only one left.
      config: { log: { level: "warning" }, waiting: { podlessTimeout: "1 minute" } }
    })
    await gateway.healthyPods(3)
  }, 600_000)

  afterAll(async () => {
    await gateway?.stop()
    for (const pod of pods) pod.kill()
  }, 60_000)

  test("of responses and messages say what they would have said when there was no output yet", async () => {
    const streams = askLong(gateway.url)
    await eventually("all are at pods", () => gateway.handle.openRequests() === streams.length)
    // Responses streams have their first events by now, and the prompts of most are still read.
    await Bun.sleep(50)
    pods[2]?.freeze()
    // What it wrote before is on its way.
    await Bun.sleep(100)
    const begun = new Set(streams.filter(({ hasBegun }) => hasBegun()))
    pods[2]?.kill()
    const ended = await Promise.all(streams.map(({ end }) => end))
    // Afterwards, since their prompts are in the caches then.
    const undisturbed = await Promise.all(askLong(gateway.url).map(({ end }) => end))
    for (const [i, stream] of streams.entries()) if (!begun.has(stream)) expect(ended[i]).toBe(undisturbed[i] ?? "")
    const page = await (await fetch(`${gateway.url}/metrics`)).text()
    const retries = [...page.matchAll(/^warmroute_retries_total\{.*\} (\d+)$/gm)].map(([, count]) => Number(count))
    expect(retries.reduce((sum, count) => sum + count, 0), `${begun.size} had begun`).toBeGreaterThan(0)
    await gateway.becomesIdle()
    await gateway.healthyPods(2)
  }, 180_000)

  test("say what they would have said, and no client sees an error", async () => {
    const all = Array.from({ length: streamCount }, (_, i) => asked(i))
    const open = () => all.map((each) => openStream(gateway.url, each))
    const undisturbed = await Promise.all(open().map(async (stream) => (await stream).end))
    const streams = open()
    const victim = await podThatSpeaks(streams, streamCount / 4)
    pods.find(({ url }) => new URL(url).host === victim)?.kill()
    const ended = await Promise.all(streams.map(async (stream) => (await stream).end))
    const page = await (await fetch(`${gateway.url}/metrics`)).text()
    // Says why, should one be denied.
    expect(page.match(/^warmroute_rescues_denied_total.* [1-9]\d*$/gm)).toBeNull()
    for (const [i, { error, finishReason, ids, isWhole, text, usage }] of ended.entries()) {
      const whole = undisturbed[i]
      expect([error, isWhole, finishReason, ids.length]).toEqual([undefined, true, "length", 1])
      expect(text).toBe(whole?.text ?? "")
      expect(usage).toMatchObject({ completion_tokens: outputTokens, prompt_tokens: whole?.usage?.["prompt_tokens"] })
    }
    const rescues = page.match(/^warmroute_(?:rescues|retries)_total.*$/gm)?.join("\n")
    const whole = Number(/warmroute_rescues_total\{outcome="whole"\} (\d+)/.exec(page)?.[1])
    // The last of five may have begun when the first has all its bytes in the gateway's socket.
    expect(whole, `streams that were saved after ${victim} was killed:\n${rescues}`).toBeGreaterThan(0)
    await gateway.becomesIdle()
  }, 180_000)
})
