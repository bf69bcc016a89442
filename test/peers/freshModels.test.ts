import { describe, expect, test } from "bun:test"
import type { RawPod } from "../lib/rawPod.ts"
import { startRawPod } from "../lib/rawPod.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"

interface LoadingPod {
  readonly pod: RawPod
  readonly models: Array<string>
}

const ok = (body: string, type = "application/json"): Uint8Array =>
  Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n${body}`)

/** A pod whose models change without a word to the gateway. */
const startLoadingPod = (): LoadingPod => {
  const models = ["base"]
  const answerOf = (path: string): Uint8Array => {
    if (path === "/v1/models") return ok(JSON.stringify({ object: "list", data: models.map((id) => ({ id })) }))
    return path === "/metrics"
      ? ok("vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n", "text/plain")
      : ok("{}")
  }
  return { models, pod: startRawPod((request, connection) => connection.send(answerOf(request.path))) }
}

const within = async (
  pods: ReadonlyArray<LoadingPod>,
  config: Readonly<Record<string, unknown>>,
  body: (gateway: TestGateway) => Promise<void>
): Promise<void> => {
  const gateway = await startTestGateway({
    pods: pods.map(({ pod }) => pod.url),
    // So that nothing but a request has them asked again.
    config: { scrape: { interval: "100 millis", modelsEveryScrapes: 1_000_000 }, ...config }
  })
  try {
    await gateway.healthyPods(pods.length)
    await body(gateway)
    await gateway.becomesIdle()
  } finally {
    await gateway.stop()
    for (const { pod } of pods) pod.stop()
  }
}

const ask = async ({ url }: TestGateway, model: string) => {
  const answer = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, prompt: "hi", max_tokens: 1 })
  })
  await answer.text()
  return { status: answer.status, pod: answer.headers.get("x-warmroute-pod") }
}

const looksAt = ({ pod }: LoadingPod): number => pod.seen.filter(({ path }) => path === "/v1/models").length

describe("a model that a pod has loaded since it was asked last", () => {
  // vllm-project/production-stack#331, vllm-project/aibrix#1181
  test("is served from its first request on", () => {
    const pods = [startLoadingPod(), startLoadingPod()] as const
    return within(pods, {}, async (gateway) => {
      pods[1].models.push("sql-adapter")
      const answers = await Promise.all(Array.from({ length: 5 }, () => ask(gateway, "sql-adapter")))
      expect(answers).toEqual(answers.map(() => ({ status: 200, pod: new URL(pods[1].pod.url).host })))
      expect(pods.map(looksAt)).toEqual([2, 2])
      const list = await (await fetch(`${gateway.url}/v1/models`)).json() as { data: ReadonlyArray<{ id: string }> }
      expect(list.data.map(({ id }) => id)).toEqual(["base", "sql-adapter"])
    })
  })

  test("is there for later requests where none may wait", () => {
    const pod = startLoadingPod()
    return within([pod], { waiting: { enabled: false } }, async (gateway) => {
      pod.models.push("sql-adapter")
      const statuses = [(await ask(gateway, "sql-adapter")).status]
      while (statuses.at(-1) === 404 && statuses.length < 1000) {
        statuses.push((await ask(gateway, "sql-adapter")).status)
      }
      expect([statuses[0], statuses.at(-1)]).toEqual([404, 200])
      expect(looksAt(pod)).toBe(2)
    })
  })
})

test("names of models that do not exist are 404 and cost the pods next to nothing, however many there are", () => {
  const pod = startLoadingPod()
  return within([pod], {}, async (gateway) => {
    const startMs = performance.now()
    const statuses = new Set<number>()
    for (let i = 0; i < 20; i++) {
      const answers = await Promise.all(Array.from({ length: 20 }, (_, j) => ask(gateway, `random-${i}-${j}`)))
      for (const { status } of answers) statuses.add(status)
    }
    const tookS = (performance.now() - startMs) / 1000
    expect(statuses).toEqual(new Set([404]))
    // One when it joined, and one in two seconds.
    expect(looksAt(pod)).toBeLessThanOrEqual(2 + tookS / 2)
  })
})
