import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { eventually } from "../lib/eventually.ts"
import { headerOf, rawRequest, type RawResponse, textOf } from "../lib/rawHttp.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"
import { installVllm, startVllmPod, vllmDir, vllmInstalled, type VllmPod } from "./realVllm.ts"

const wanted = process.env.WARMROUTE_REAL_VLLM === "1" || vllmInstalled()
if (!wanted) {
  process.stderr.write(
    `skipped: no vLLM in ${vllmDir}. WARMROUTE_REAL_VLLM=1 installs it (about 6 GB), VLLM_VENV names another place.\n`
  )
}

let pods: ReadonlyArray<VllmPod> = []
let gateway: TestGateway

const json = { "content-type": "application/json" }

/** With a request id, which vLLM builds its ids from, so that two answers can be compared. */
const post = (url: string, path: string, body: unknown): Promise<RawResponse> =>
  rawRequest(url, { method: "POST", path, headers: { ...json, "x-request-id": "e2e" }, body: JSON.stringify(body) })

const podOf = (response: RawResponse): string => headerOf(response.headers, "x-warmroute-pod") ?? "none"

/** About 11 tokens a line for tiny's tokenizer, and no two subjects share a KV block. */
const promptAbout = (subject: string, lines = 120): string =>
  Array.from({ length: lines }, (_, line) => `Note ${line} on ${subject}: the quick brown fox counts ${line * 7}.`)
    .join("\n")

interface ChatAnswer {
  readonly pod: string
  readonly promptTokens: number
  readonly cachedTokens: number
}

const chat = async (subject: string, question: string): Promise<ChatAnswer> => {
  const response = await post(gateway.url, "/v1/chat/completions", {
    model: "tiny",
    max_tokens: 4,
    messages: [{ role: "system", content: promptAbout(subject) }, { role: "user", content: question }]
  })
  expect(response.status).toBe(200)
  const { usage } = JSON.parse(textOf(response)) as {
    usage: { prompt_tokens: number; prompt_tokens_details: { cached_tokens: number } | null }
  }
  return {
    pod: podOf(response),
    promptTokens: usage.prompt_tokens,
    cachedTokens: usage.prompt_tokens_details?.cached_tokens ?? 0
  }
}

const textOfChoice = (answer: string): string => {
  const { choices } = JSON.parse(answer) as { choices: ReadonlyArray<{ text: string }> }
  return choices[0]?.text ?? ""
}

const countBy = (values: ReadonlyArray<string>): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return counts
}

describe.skipIf(!wanted)("three real vLLM pods behind the gateway", () => {
  beforeAll(async () => {
    if (!vllmInstalled()) await installVllm()
    pods = Array.from({ length: 3 }, () => startVllmPod())
    await Promise.all(pods.map((pod) => pod.ready))
    // The first stream of a vLLM process comes seconds late and all at once; that is not what is tested here.
    await Promise.all(pods.map((pod) =>
      post(pod.url, "/v1/chat/completions", {
        model: "tiny",
        messages: [{ role: "user", content: "warm up" }],
        max_tokens: 20,
        stream: true
      })
    ))
    gateway = await startTestGateway({ pods: pods.map((pod) => pod.url) })
    await gateway.healthyPods(3)
  }, 600_000)

  afterAll(async () => {
    await gateway?.stop()
    for (const pod of pods) pod.kill()
  }, 60_000)

  test("a second request with the same prefix goes to the same pod, which has it cached", async () => {
    for (const subject of ["lighthouses", "glaciers", "looms", "tides"]) {
      const first = await chat(subject, "What is said first?")
      expect(first.cachedTokens).toBeLessThan(64)
      for (const question of ["And last?", "Who counts?", "Name the fox's colour."]) {
        const next = await chat(subject, question)
        expect(next.pod).toBe(first.pod)
        expect(next.cachedTokens).toBeGreaterThan(0.9 * first.promptTokens)
      }
    }
  }, 120_000)

  test("load spreads over the pods when the prefixes differ", async () => {
    const answers = await Promise.all(Array.from({ length: 18 }, (_, i) => chat(`village ${i} ${i * i}`, "Why?")))
    const counts = countBy(answers.map((answer) => answer.pod))
    expect(counts.size).toBe(3)
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(9)
  }, 120_000)

  test("many prefixes at once stay warm each on its own pod", async () => {
    const subjects = Array.from({ length: 9 }, (_, i) => `river ${i} ${i * 31}`)
    const first = await Promise.all(subjects.map((subject) => chat(subject, "Where from?")))
    const second = await Promise.all(subjects.map((subject) => chat(subject, "Where to?")))
    expect(second.map((answer) => answer.pod)).toEqual(first.map((answer) => answer.pod))
    expect(Math.min(...second.map((answer) => answer.cachedTokens / answer.promptTokens))).toBeGreaterThan(0.9)
  }, 120_000)

  const messages = [{ role: "user", content: "Hello" }]
  // Streams of one token, since a busy vLLM sends several in one event when it likes.
  const exchanges: ReadonlyArray<readonly [name: string, path: string, body: unknown]> = [
    ["chat", "/v1/chat/completions", { model: "tiny", messages, max_tokens: 6, temperature: 0 }],
    ["chat stream", "/v1/chat/completions", {
      model: "tiny",
      messages,
      max_tokens: 1,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true }
    }],
    ["chat with two choices", "/v1/chat/completions", { model: "tiny", messages, max_tokens: 3, seed: 7, n: 2 }],
    ["completions", "/v1/completions", { model: "tiny", prompt: "Once upon", max_tokens: 6, temperature: 0 }],
    ["completions stream", "/v1/completions", {
      model: "tiny",
      prompt: "Once upon",
      max_tokens: 1,
      temperature: 0,
      stream: true
    }],
    ["responses", "/v1/responses", { model: "tiny", input: "Hello", max_output_tokens: 6, temperature: 0 }],
    ["messages", "/v1/messages", { model: "tiny", messages, max_tokens: 6, temperature: 0 }],
    ["messages stream", "/v1/messages", { model: "tiny", messages, max_tokens: 1, temperature: 0, stream: true }],
    ["count tokens", "/v1/messages/count_tokens", { model: "tiny", messages }],
    ["tokenize", "/tokenize", { model: "tiny", prompt: "Once upon a time" }],
    ["detokenize", "/detokenize", { model: "tiny", tokens: [12, 345, 678] }],
    ["generate", "/inference/v1/generate", {
      model: "tiny",
      token_ids: [12, 345, 678],
      sampling_params: { max_tokens: 4, temperature: 0 }
    }],
    ["embeddings, which this model refuses", "/v1/embeddings", { model: "tiny", input: "Hello" }],
    ["a field out of range", "/v1/chat/completions", { model: "tiny", messages, temperature: -1 }],
    ["a prompt that is too long", "/v1/completions", { model: "tiny", prompt: "word ".repeat(9000), max_tokens: 4 }]
  ]

  /** Clocks differ from answer to answer, and the ids that vLLM draws at random; all else must not. */
  const settled = (text: string): string =>
    text.replace(/(resp|msg|rs)_[0-9a-f]{8,}/g, "ID").replace(/"(created|\w+_at)":\s*\d+(\.\d+)?/g, "\"$1\":0")

  const ownHeaders = new Set([
    "date",
    "x-request-id",
    "x-warmroute-pod",
    "connection",
    "keep-alive",
    "transfer-encoding"
  ])

  const headersOf = (response: RawResponse): ReadonlyArray<string> =>
    response.headers.filter(([name]) => !ownHeaders.has(name)).map(([name, value]) => `${name}: ${value}`).sort()

  test.each(exchanges)("%s passes as the pod says it", async (_name, path, body) => {
    const through = await post(gateway.url, path, body)
    const direct = await post(`http://${podOf(through)}`, path, body)
    expect(through.status).toBe(direct.status)
    expect(through.complete).toBe(true)
    expect(headersOf(through)).toEqual(headersOf(direct))
    expect(settled(textOf(through))).toBe(settled(textOf(direct)))
  }, 60_000)

  test("a long stream says what the pod's whole answer says", async () => {
    const asked = { model: "tiny", prompt: "Once upon", max_tokens: 200, temperature: 0, ignore_eos: true }
    const streamed = await post(gateway.url, "/v1/completions", { ...asked, stream: true })
    const events = textOf(streamed).split("\n\n").filter((each) => each !== "")
    expect(events.pop()).toBe("data: [DONE]")
    const said = events.map((each) => textOfChoice(each.slice("data: ".length))).join("")
    const direct = await post(`http://${podOf(streamed)}`, "/v1/completions", asked)
    expect(said).toBe(textOfChoice(textOf(direct)))
  }, 60_000)

  test("the model list is the pods'", async () => {
    const through = await rawRequest(gateway.url, { method: "GET", path: "/v1/models" })
    const cards = (JSON.parse(textOf(through)) as { data: ReadonlyArray<Record<string, unknown>> }).data
    expect(cards.map((card) => card.id)).toEqual(["tiny"])
    expect(cards[0]).toMatchObject({ object: "model", owned_by: "vllm", max_model_len: 4096 })
  })

  test("a killed pod loses its cache, and no stream", async () => {
    const homes = new Map<string, string>()
    for (const subject of ["bridges", "orchards", "harbours", "mills", "kilns", "weirs"]) {
      homes.set(subject, (await chat(subject, "Begin.")).pod)
    }
    const begun: Array<{ readonly pod: string; readonly end: Promise<boolean> }> = []
    await Promise.all(Array.from({ length: 6 }, async (_, i) => begun.push(await openStream(`story ${i}`))))
    expect(countBy(begun.map((stream) => stream.pod)).size).toBe(3)
    // The stream that began last has all its tokens before it, while the first ones may be through already.
    const last = begun.at(-1)
    const victim = pods.find(({ url }) => new URL(url).host === last?.pod)
    if (last === undefined || victim === undefined) throw new Error("no pod has the last stream")
    const victimId = last.pod
    victim.kill()
    for (const stream of begun) expect(await stream.end).toBe(true)
    await gateway.healthyPods(2)
    // Three vLLMs and their streams on a small machine may have kept a pod from its first token for seconds.
    await eventually("no living pod is passed over", async () => (await passedOver(victimId)).length === 0)
    for (const [subject, home] of homes) {
      const after = await chat(subject, "Go on.")
      expect(after.pod).not.toBe(victimId)
      if (home === victimId) continue
      expect({ pod: after.pod, passedOver: await passedOver(victimId) }).toEqual({ pod: home, passedOver: [] })
      expect(after.cachedTokens).toBeGreaterThan(0.9 * after.promptTokens)
    }
    expect(gateway.handle.openRequests()).toBe(0)
  }, 180_000)
})

/** Metrics of pods that get no requests, or fewer than their share, but for one pod. */
const passedOver = async (exceptPodId: string): Promise<ReadonlyArray<string>> => {
  const page = await (await fetch(`${gateway.handle.adminUrl}/metrics`)).text()
  return page.split("\n").filter((line) =>
    /^warmroute_pod_(?:(?:breaker_open|stalled)\{.* [^0]|pick_share_ratio\{.* 0)/.test(line) &&
    !line.includes(exceptPodId)
  )
}

/** Resolves once the first bytes are here; `end` tells whether the stream came to its `[DONE]`. */
const openStream = async (subject: string): Promise<{ readonly pod: string; readonly end: Promise<boolean> }> => {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: json,
    body: JSON.stringify({
      model: "tiny",
      stream: true,
      ignore_eos: true,
      max_tokens: 1_500,
      messages: [{ role: "user", content: promptAbout(subject, 20) }]
    })
  })
  expect(response.status).toBe(200)
  const reader = response.body?.getReader()
  if (reader === undefined) throw new Error("the answer has no body")
  const first = await reader.read()
  const decoder = new TextDecoder()
  let tail = decoder.decode(first.value)
  const readOn = async (): Promise<boolean> => {
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return tail.trimEnd().endsWith("data: [DONE]")
        tail = (tail + decoder.decode(value, { stream: true })).slice(-200)
      }
    } catch {
      return false
    }
  }
  return { pod: response.headers.get("x-warmroute-pod") ?? "none", end: readOn() }
}
