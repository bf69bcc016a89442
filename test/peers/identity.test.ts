import { describe, expect, test } from "bun:test"
import { headerOf, rawRequest, type RawResponse } from "../lib/rawHttp.ts"
import type { RawPod } from "../lib/rawPod.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"

const startPods = (count: number): ReadonlyArray<RawPod> =>
  Array.from(
    { length: count },
    () => startScriptedPod((_request, connection) => connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"))
  )

const ask = ({ url }: TestGateway, headers: Readonly<Record<string, string>>, prompt = "hi"): Promise<RawResponse> =>
  rawRequest(url, {
    method: "POST",
    path: "/v1/completions",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: "tiny", prompt })
  })

const within = async (
  pods: ReadonlyArray<RawPod>,
  config: Readonly<Record<string, unknown>>,
  body: (gateway: TestGateway) => Promise<void>
): Promise<void> => {
  const gateway = await startTestGateway({ pods: pods.map(({ url }) => url), config })
  try {
    await gateway.healthyPods(pods.length)
    await body(gateway)
  } finally {
    await gateway.stop()
    for (const pod of pods) pod.stop()
  }
}

const seenBy = (pod: RawPod) => pod.seen.findLast(({ method }) => method === "POST")?.headers ?? []

describe("what a client says of itself", () => {
  // vllm-project/aibrix#2122
  test("reaches the pod: its session, its priority and its own headers", () => {
    const [pod] = startPods(1)
    const said = { "x-session-id": "s-1", "x-vllm-priority": "-3", "x-team": "blue", tracestate: "a=b" }
    return within([pod!], {}, async (gateway) => {
      await ask(gateway, said)
      for (const [name, value] of Object.entries(said)) expect(headerOf(seenBy(pod!), name)).toBe(value)
    })
  })

  // vllm-project/aibrix#2527
  test("as its request's id is not replaced by that of its trace, at the pod or in the answer", () => {
    const [pod] = startPods(1)
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    return within([pod!], {}, async (gateway) => {
      const answer = await ask(gateway, { "x-request-id": "order-66", traceparent })
      expect(headerOf(seenBy(pod!), "x-request-id")).toBe("order-66")
      expect(headerOf(seenBy(pod!), "traceparent")).toContain("0af7651916cd43dd8448eb211c80319c")
      expect(headerOf(answer.headers, "x-request-id")).toBe("order-66")
    })
  })
})

// llm-d/llm-d-router#2238
test.each([
  {
    type: "weighted",
    filters: [{
      type: "session-affinity-filter",
      parameters: { strategy: "session_id", sources: [{ header: "X-Conversation" }] }
    }],
    scorers: [],
    picker: { type: "random-picker" }
  },
  { type: "session-hash", parameters: { sources: [{ header: "X-Conversation" }] } }
])("a session is known by the header that the operator names: %j", (policy) => {
  const pods = startPods(4)
  return within(pods, { policy }, async (gateway) => {
    const podsOf = async (name: string): Promise<ReadonlySet<string | undefined>> => {
      const found = new Set<string | undefined>()
      for (let i = 0; i < 12; i++) {
        const { headers } = await ask(gateway, { [name]: "c-1" }, `turn ${i}`)
        found.add(headerOf(headers, "x-warmroute-pod"))
      }
      return found
    }
    expect((await podsOf("x-conversation")).size).toBe(1)
    expect((await podsOf("x-other")).size).toBeGreaterThan(1)
  })
})
