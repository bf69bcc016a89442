import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"
import { type Envoy, installEnvoy, startEnvoy } from "./realEnvoy.ts"
import { startVllmPod, vllmDir, vllmInstalled, type VllmPod } from "./realVllm.ts"

const wanted = vllmInstalled()
if (!wanted) process.stderr.write(`skipped: no vLLM in ${vllmDir}; the test of vLLM alone installs it\n`)

let pods: ReadonlyArray<VllmPod> = []
let gateway: TestGateway
let envoy: Envoy

const ask = (subject: string, question: string, fields: object = {}): Promise<Response> =>
  fetch(`${envoy.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: "tiny",
      max_tokens: 4,
      messages: [{ role: "system", content: notesOn(subject) }, { role: "user", content: question }],
      ...fields
    })
  })

/** About 1,300 tokens for tiny's tokenizer, and no two subjects share a KV block. */
const notesOn = (subject: string): string =>
  Array.from({ length: 120 }, (_, line) => `Note ${line} on ${subject}: the quick brown fox counts ${line * 7}.`)
    .join("\n")

interface Usage {
  readonly prompt_tokens: number
  readonly prompt_tokens_details: { readonly cached_tokens: number } | null
}

const usageOf = async (answer: Response): Promise<Usage> => ((await answer.json()) as { usage: Usage }).usage

describe.skipIf(!wanted)("two real vLLM pods behind Envoy, picked by the gateway", () => {
  beforeAll(async () => {
    await installEnvoy()
    pods = Array.from({ length: 2 }, () => startVllmPod())
    await Promise.all(pods.map((pod) => pod.ready))
    gateway = await startTestGateway({
      pods: pods.map((pod) => pod.url),
      config: { extproc: { listen: { hostname: "127.0.0.1", port: 0 } } }
    })
    await gateway.healthyPods(2)
    envoy = await startEnvoy({ pickerPort: gateway.handle.picker?.port ?? 0 })
  }, 240_000)

  afterAll(async () => {
    await envoy?.stop()
    await gateway?.stop()
    for (const pod of pods) pod.kill()
  }, 60_000)

  test("a second request with the same prefix goes to the same pod, which has it cached", async () => {
    for (const subject of ["lighthouses", "glaciers", "looms"]) {
      const first = await ask(subject, "What is said first?")
      expect(first.status).toBe(200)
      const { prompt_tokens: promptTokens } = await usageOf(first)
      await gateway.becomesIdle()
      const next = await ask(subject, "And last?")
      expect(next.headers.get("x-warmroute-pod")).toBe(first.headers.get("x-warmroute-pod"))
      const cached = (await usageOf(next)).prompt_tokens_details?.cached_tokens ?? 0
      expect(cached).toBeGreaterThan(0.9 * promptTokens)
    }
  }, 120_000)

  test("a stream comes through to its end", async () => {
    const answer = await ask("tides", "Why?", { stream: true, max_tokens: 40, ignore_eos: true })
    expect(answer.headers.get("content-type")).toContain("text/event-stream")
    const events = (await answer.text()).split("\n\n").filter((event) => event !== "")
    expect(events.at(-1)).toBe("data: [DONE]")
    expect(events.length).toBeGreaterThan(10)
    await gateway.becomesIdle()
  }, 120_000)

  test("a killed pod costs no request that comes after it", async () => {
    const [killed] = pods
    killed?.kill()
    const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => ask(`mill ${i}`, "Where?")))
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200))
    await gateway.becomesIdle()
  }, 120_000)
})
