import { afterEach, describe, expect, test } from "bun:test"
import type { PodStatus } from "../../actors/PoolView.ts"
import { eventually } from "../lib/eventually.ts"
import { rawRequest, type RawResponse } from "../lib/rawHttp.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { event, streamEnd, streamHead } from "../lib/streamedAnswer.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"

const cleanups: Array<() => void | Promise<void>> = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

const wholeStream = streamHead + event("one") + event("[DONE]") + streamEnd

const ask = (gateway: TestGateway): Promise<RawResponse> =>
  rawRequest(gateway.url, {
    method: "POST",
    path: "/v1/completions",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "tiny", prompt: "Hello", max_tokens: 8, stream: true })
  })

/** Two pods asked in turn, the first of which hears nothing from its first request on and is given that request's socket. */
const withDeafPod = async (
  onFirst: (say: (text: string) => void) => void,
  lostPodGrace: string
): Promise<{ gateway: TestGateway; status: () => PodStatus; rescuedAt: Array<string> }> => {
  let isDeaf = false
  const rescuedAt: Array<string> = []
  const deaf = startScriptedPod((_, { send }) => {
    isDeaf = true
    onFirst(send)
  }, { hears: () => !isDeaf })
  const status = (): PodStatus => {
    const [first] = gateway.handle.poolView.pods()
    if (first === undefined) throw new Error("the pool is empty")
    return first
  }
  const well = startScriptedPod((_, { send }) => {
    rescuedAt.push(status().health)
    send(wholeStream)
  })
  const gateway = await startTestGateway({
    pods: [deaf.url, well.url],
    policy: "round-robin",
    config: {
      limits: { lostPodGrace },
      scrape: { interval: "50 millis", retryAfter: "20 millis", timeout: "100 millis" }
    }
  })
  cleanups.push(deaf.stop, well.stop, gateway.stop)
  await gateway.healthyPods(2)
  return { gateway, status, rescuedAt }
}

describe("a pod that hangs under its requests", () => {
  test("is known to be unhealthy first and then loses them to another pod", async () => {
    const { gateway, rescuedAt } = await withDeafPod(() => {}, "700 millis")
    const { complete, status } = await ask(gateway)
    expect([status, complete]).toEqual([200, true])
    expect(rescuedAt).toEqual(["unhealthy"])
    await gateway.becomesIdle()
  })

  test("but still sends bytes keeps them, however long it answers no question", async () => {
    let finish = (): void => {}
    const { gateway, rescuedAt, status } = await withDeafPod((say) => {
      say(streamHead)
      const timer = setInterval(() => say(event("more")), 10)
      finish = () => {
        clearInterval(timer)
        say(event("[DONE]") + streamEnd)
      }
    }, "700 millis")
    const answer = ask(gateway)
    await eventually("it is strained", () => status().reason?.startsWith("it answers requests") === true)
    await Bun.sleep(1_000)
    expect(status().health).toBe("healthy")
    // Asked in turn, the other one would get half of them.
    for (let asked = 1; asked <= 4; asked++) {
      expect((await ask(gateway)).complete).toBe(true)
      expect(rescuedAt.length).toBe(asked)
    }
    finish()
    const { complete, status: code } = await answer
    expect([code, complete]).toEqual([200, true])
    await eventually("it is given up", () => status().health === "unhealthy")
    await gateway.becomesIdle()
  })

  test("but still answers requests gets what no other pod can take", async () => {
    let isBusy = false
    const busy = startScriptedPod((_, { send }) => send(wholeStream), {
      hears: (request) => !isBusy || request.method === "POST"
    })
    const gateway = await startTestGateway({
      pods: [busy.url],
      config: {
        scrape: { interval: "50 millis", retryAfter: "20 millis", timeout: "100 millis" },
        waiting: { podlessTimeout: "1 millis" }
      }
    })
    cleanups.push(busy.stop, gateway.stop)
    await gateway.healthyPods(1)
    isBusy = true
    const untilMs = performance.now() + 2_000
    while (performance.now() < untilMs) expect((await ask(gateway)).status).toBe(200)
    expect(gateway.handle.poolView.pods()[0]?.reason).toStartWith("it answers requests, but no question")
    await gateway.becomesIdle()
  })

  test("and is the only one goes on with them when it only stood still", async () => {
    let isDeaf = false
    let finish = (): void => {}
    const still = startScriptedPod((_, { send }) => {
      isDeaf = true
      finish = () => {
        isDeaf = false
        send(wholeStream)
      }
    }, { hears: () => !isDeaf })
    const gateway = await startTestGateway({
      pods: [still.url],
      config: {
        limits: { lostPodGrace: "100 millis" },
        scrape: { interval: "50 millis", retryAfter: "20 millis", timeout: "50 millis" }
      }
    })
    cleanups.push(still.stop, gateway.stop)
    await gateway.healthyPods(1)
    const answer = ask(gateway)
    await gateway.healthyPods(0)
    await Bun.sleep(500)
    finish()
    const { complete, status } = await answer
    expect([status, complete]).toEqual([200, true])
    expect(still.seen.filter(({ method }) => method === "POST").length).toBe(1)
    await gateway.becomesIdle()
  })
})
