import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { type Asked, openStream } from "../lib/heardStream.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"
import { installVllm, startVllmPod, vllmInstalled, type VllmPod } from "./realVllm.ts"

const wanted = process.env.WARMROUTE_REAL_VLLM === "1" || vllmInstalled()
const streamCount = 20

/**
 * The penalty keeps this model of random weights from saying one word for ever: what it says is a word salad that no
 * tokenizer would cut the same way again, so only the very tokens go on with the very text.
 */
const asked = (i: number): Asked => ({
  path: i % 2 === 0 ? "/v1/chat/completions" : "/v1/completions",
  body: {
    model: "tiny",
    ...(i % 2 === 0 ? { messages: [{ role: "user", content: `Story ${i * 37}` }] } : { prompt: `Once upon ${i * 37}` }),
    max_tokens: 600,
    temperature: 0,
    repetition_penalty: 1.5,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true }
  }
})

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
    pods = [startVllmPod(), startVllmPod()]
    await Promise.all(pods.map((pod) => pod.ready))
    gateway = await startTestGateway({ pods: pods.map((pod) => pod.url), policy: "round-robin" })
    await gateway.healthyPods(2)
  }, 600_000)

  afterAll(async () => {
    await gateway?.stop()
    for (const pod of pods) pod.kill()
  }, 60_000)

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
      expect(usage).toMatchObject({ completion_tokens: 600, prompt_tokens: whole?.usage?.["prompt_tokens"] })
    }
    const rescues = page.match(/^warmroute_(?:rescues|retries)_total.*$/gm)?.join("\n")
    const whole = Number(/warmroute_rescues_total\{outcome="whole"\} (\d+)/.exec(page)?.[1])
    expect(whole, `streams that were saved after ${victim} was killed:\n${rescues}`)
      .toBeGreaterThanOrEqual(streamCount / 4)
    await gateway.becomesIdle()
  }, 180_000)
})
