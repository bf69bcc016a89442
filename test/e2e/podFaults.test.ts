import { afterEach, describe, expect, test } from "bun:test"
import { headerOf, rawRequest, type RawResponse, textOf } from "../lib/rawHttp.ts"
import type { PodConnection, RawPod, SeenRequest } from "../lib/rawPod.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { event, streamEnd, streamHead } from "../lib/streamedAnswer.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"

type Behaviour = (connection: PodConnection, request: SeenRequest) => void

const json = (status: string, body: string): string =>
  `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\nx-from: pod\r\ncontent-length: ${body.length}\r\n\r\n${body}`

const well: Behaviour = (connection, { body }) =>
  connection.send(
    Buffer.from(body).includes("\"stream\":true")
      ? streamHead + event("one") + event("[DONE]") + streamEnd
      : json("200 OK", "{\"choices\":[]}")
  )

const cleanups: Array<() => void | Promise<void>> = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

interface Fleet {
  readonly gateway: TestGateway
  readonly pods: ReadonlyArray<RawPod>
}

/** A gateway over one pod for each behaviour, asked in turn from the first on. */
const fleet = async (
  behaviours: ReadonlyArray<Behaviour>,
  limits: Readonly<Record<string, unknown>> = {},
  sections: Readonly<Record<string, unknown>> = {}
): Promise<Fleet> => {
  const pods = behaviours.map((behave) => startScriptedPod((request, connection) => behave(connection, request)))
  const gateway = await startTestGateway({
    pods: pods.map((pod) => pod.url),
    policy: "round-robin",
    config: { limits, scrape: { interval: "1 hour" }, ...sections }
  })
  cleanups.push(() => {
    for (const pod of pods) pod.stop()
  }, gateway.stop)
  await gateway.healthyPods(behaviours.length)
  return { gateway, pods }
}

const ask = (
  gateway: TestGateway,
  stream: boolean,
  path = "/v1/completions",
  more: Readonly<Record<string, unknown>> = {}
): Promise<RawResponse> =>
  rawRequest(gateway.url, {
    method: "POST",
    path,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "tiny", prompt: "Hello", input: "Hello", max_tokens: 8, stream, ...more })
  })

const askResponse = (gateway: TestGateway, ...tools: ReadonlyArray<string>): Promise<RawResponse> =>
  ask(gateway, false, "/v1/responses", { tools: tools.map((type) => ({ type })) })

const metric = async ({ url }: TestGateway, line: string): Promise<number> => {
  const page = await (await fetch(`${url}/metrics`)).text()
  const found = page.split("\n").find((each) => each.startsWith(`${line} `))
  return found === undefined ? 0 : Number(found.slice(line.length + 1))
}

/** Changes of breakers to a state, over all pods. */
const breakerChanges = async ({ url }: TestGateway, state: string): Promise<number> => {
  const page = await (await fetch(`${url}/metrics`)).text()
  const lines = page.split("\n").filter((line) =>
    line.startsWith("warmroute_breaker_changes_total{") && line.includes(`state="${state}"`)
  )
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0)
}

const codeOf = (answer: RawResponse): string => JSON.parse(textOf(answer)).error.code

const posts = (pod: RawPod | undefined): number => pod?.seen.filter(({ method }) => method === "POST").length ?? 0

const huge = `HTTP/1.1 200 OK\r\nx-huge: ${"h".repeat(100_000)}\r\n\r\n`
const short = { firstByteTimeout: "150 millis", silenceTimeout: "150 millis" }
const busy = "{\"error\":\"engine busy\"}"

/** Everything that can go wrong before the client has a byte, with the reason that /metrics counts. */
const faults: ReadonlyArray<readonly [name: string, behave: Behaviour, reason: string, limits?: object]> = [
  ["closes before its answer", (c) => c.end(), "broken"],
  ["resets before its answer", (c) => c.reset(), "broken"],
  ["resets inside its head", (c) => {
    c.send("HTTP/1.1 200 OK\r\ncontent-ty")
    setTimeout(c.reset, 20)
  }, "truncated"],
  ["closes behind its head", (c) => {
    c.send(streamHead)
    setTimeout(c.end, 20)
  }, "truncated"],
  ["hangs before its answer", () => {}, "first-byte-timeout", short],
  ["hangs behind its head", (c) => c.send(streamHead), "first-byte-timeout", short],
  ["sends garbage", (c) => c.send("\x16\x03\x01 no HTTP at all\r\n\r\n"), "protocol"],
  ["sends a huge head", (c) => c.send(huge), "protocol"],
  ["sends a chunk without a size", (c) => c.send(`${streamHead}zz\r\n`), "protocol"],
  ["answers 500", (c) => c.send(json("500 Internal Server Error", "{}")), "answer-500"],
  ["answers 502", (c) => c.send(json("502 Bad Gateway", "{}")), "answer-502"],
  ["answers 503, engine busy", (c) => c.send(json("503 Service Unavailable", busy)), "answer-503"],
  [
    "answers 504 in chunks",
    (c) => c.send(`HTTP/1.1 504 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`),
    "answer-504"
  ]
]

describe.each(faults)("a pod that %s", (_name, behave, reason, limits = {}) => {
  test.each([["streamed", true], ["whole", false]])(
    "costs a %s answer nothing: another pod gives it",
    async (_, stream) => {
      const { gateway, pods } = await fleet([behave, well], { ...limits })
      const answers = [await ask(gateway, stream), await ask(gateway, stream)]
      for (const answer of answers) {
        expect([answer.status, answer.complete]).toEqual([200, true])
        expect(textOf(answer)).toBe(stream ? "data: one\n\ndata: [DONE]\n\n" : "{\"choices\":[]}")
      }
      expect(posts(pods[0])).toBeGreaterThan(0)
      expect(posts(pods[1])).toBe(answers.length)
      expect(await metric(gateway, `warmroute_retries_total{reason="${reason}"}`)).toBe(posts(pods[0]))
      await gateway.becomesIdle()
    }
  )
})

describe("when no other pod is left", () => {
  test("a pod's own error comes to the client untouched", async () => {
    const { gateway } = await fleet([(c) => c.send(json("503 Service Unavailable", busy))])
    const answer = await ask(gateway, true)
    expect([answer.status, textOf(answer), headerOf(answer.headers, "x-from")]).toEqual([503, busy, "pod"])
    await gateway.becomesIdle()
  })

  test("the first pod's own error says more than what went wrong with the others", async () => {
    const { gateway, pods } = await fleet([(c) => c.send(json("500 Internal Server Error", busy)), (c) => c.end()])
    const answer = await ask(gateway, false)
    expect([answer.status, textOf(answer)]).toEqual([500, busy])
    expect(headerOf(answer.headers, "x-warmroute-pod")).toBe(new URL(pods[0]?.url ?? "").host)
    expect(await metric(gateway, "warmroute_retries_denied_total{why=\"no-pod\"}")).toBe(1)
    await gateway.becomesIdle()
  })

  test.each([
    ["firstByteTimeout", "first_byte_timed_out", "first-byte", (() => {}) as Behaviour],
    [
      "silenceTimeout",
      "between_bytes_timed_out",
      "between-bytes",
      ((c) => {
        c.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
      }) as Behaviour
    ],
    ["requestTimeout", "request_timed_out", "total", (() => {}) as Behaviour]
  ])("limits.%s gives 504 with its own code", async (setting, code, phase, behave) => {
    const { gateway } = await fleet([behave], { [setting]: "100 millis" })
    const answer = await ask(gateway, false)
    expect([answer.status, codeOf(answer)]).toEqual([504, code])
    expect(await metric(gateway, `warmroute_timeouts_total{phase="${phase}"}`)).toBe(1)
    await gateway.becomesIdle()
  })

  test("an error answer too long to hold back streams through whole", async () => {
    const body = "x".repeat(300_000)
    const chunked = `HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n${
      body.length.toString(16)
    }\r\n${body}\r\n0\r\n\r\n`
    const { gateway, pods } = await fleet([(c) => c.send(chunked), well])
    const answer = await ask(gateway, false)
    expect([answer.status, answer.body.length, posts(pods[1])]).toEqual([500, body.length, 0])
    await gateway.becomesIdle()
  })
})

describe("a stream that has begun", () => {
  test.each<readonly [string, Behaviour, string]>([
    ["closes", (c) => setTimeout(c.end, 20), "pod_unreachable"],
    ["resets", (c) => setTimeout(c.reset, 20), "pod_unreachable"],
    ["hangs", () => {}, "between_bytes_timed_out"],
    ["sends a broken chunk", (c) => c.send("zz\r\n"), "pod_unreachable"]
  ])("ends in good order with an error event when its pod %s", async (_name, then, code) => {
    const { gateway, pods } = await fleet([(c, request) => {
      c.send(streamHead + event("one"))
      then(c, request)
    }, well], short)
    const answer = await ask(gateway, true)
    expect([answer.status, answer.complete]).toEqual([200, true])
    const [first, last, rest] = textOf(answer).split("\n\n")
    expect([first, rest]).toEqual(["data: one", ""])
    expect(JSON.parse(last?.slice("data: ".length) ?? "").error.code).toBe(code)
    expect(posts(pods[1])).toBe(0)
    await gateway.becomesIdle()
  })

  test("ends in good order when the time for the whole request is over", async () => {
    const { gateway } = await fleet([(c) => c.send(streamHead + event("one"))], { requestTimeout: "150 millis" })
    const answer = await ask(gateway, true)
    expect(answer.complete).toBe(true)
    expect(textOf(answer)).toContain("request_timed_out")
    await gateway.becomesIdle()
  })
})

describe("retries", () => {
  const broken: Behaviour = (c) => c.end()

  test("stop at their budget, and the failure is passed on", async () => {
    const limits = { retryShare: 0, retryBurst: 0 }
    const { gateway, pods } = await fleet([broken, well], limits)
    const answer = await ask(gateway, false)
    expect([answer.status, codeOf(answer), posts(pods[1])]).toEqual([502, "pod_unreachable", 0])
    expect(await metric(gateway, "warmroute_retries_denied_total{why=\"budget\"}")).toBe(1)
    await gateway.becomesIdle()
  })

  test("come of a socket that the pod drops later than it could have dropped an idle one", async () => {
    const late: Behaviour = (connection) => setTimeout(connection.reset, 800)
    let nth = 0
    const { gateway, pods } = await fleet([(c, request) => (nth++ === 0 ? well : late)(c, request), well])
    for (let i = 0; i < 3; i++) expect((await ask(gateway, false)).status).toBe(200)
    expect(pods.map(posts)).toEqual([2, 2])
    expect(await metric(gateway, "warmroute_retries_total{reason=\"broken\"}")).toBe(1)
    await gateway.becomesIdle()
  })

  test("never make a pod run a request twice whose tools may act, on whatever socket it came", async () => {
    let nth = 0
    const drops: Behaviour = (c, request) => (nth++ === 1 ? c.reset() : well(c, request))
    const { gateway, pods } = await fleet([drops])
    expect((await askResponse(gateway, "mcp")).status).toBe(200)
    expect((await askResponse(gateway, "mcp")).status).toBe(502)
    expect(posts(pods[0])).toBe(2)
    expect(await metric(gateway, "warmroute_retries_denied_total{why=\"unsafe\"}")).toBe(1)
    await gateway.becomesIdle()
  })

  test("are not what a request makes that finds no socket at a pod: another one answers it", async () => {
    const held = Promise.withResolvers<() => void>()
    const holds: Behaviour = (c, request) => held.resolve(() => well(c, request))
    const limits = { connectionsPerPodMax: 1, retryShare: 0, retryBurst: 0 }
    const { gateway, pods } = await fleet([holds, well], limits)
    const first = ask(gateway, false)
    const release = await held.promise
    for (let i = 0; i < 4; i++) expect((await ask(gateway, false)).status).toBe(200)
    release()
    expect((await first).status).toBe(200)
    expect(pods.map(posts)).toEqual([1, 4])
    expect(await metric(gateway, "warmroute_retries_denied_total{why=\"budget\"}")).toBe(0)
    await gateway.becomesIdle()
  })

  test("of a request whose tools may act are made when the pod refused it, not when it may have run", async () => {
    const { gateway, pods } = await fleet([broken, well])
    expect((await askResponse(gateway, "function", "code_interpreter")).status).toBe(502)
    expect(await metric(gateway, "warmroute_retries_denied_total{why=\"unsafe\"}")).toBe(1)
    pods[0]?.stop()
    expect((await askResponse(gateway, "code_interpreter")).status).toBe(200)
    expect((await askResponse(gateway, "code_interpreter")).status).toBe(200)
    await gateway.becomesIdle()
  })

  test("of a Responses request are made when no tool of its acts but at the client", async () => {
    const { gateway } = await fleet([broken, well])
    expect((await askResponse(gateway)).status).toBe(200)
    expect((await askResponse(gateway, "function", "custom")).status).toBe(200)
    expect(await metric(gateway, "warmroute_retries_denied_total{why=\"unsafe\"}")).toBe(0)
    await gateway.becomesIdle()
  })

  test("never come of a keep-alive socket that the pod dropped", async () => {
    let nth = 0
    const drops: Behaviour = (connection, request) => {
      if (nth++ === 1) return connection.reset()
      well(connection, request)
    }
    const { gateway } = await fleet([drops])
    for (let i = 0; i < 3; i++) expect((await ask(gateway, false)).status).toBe(200)
    expect(nth).toBe(4)
    const page = await (await fetch(`${gateway.url}/metrics`)).text()
    expect(page).not.toMatch(/^warmroute_retries_total\{/m)
    await gateway.becomesIdle()
  })
})

describe("a pod that falls silent as a whole", () => {
  test("costs the requests that wait there nothing, once it is known to be unhealthy", async () => {
    const taken = Promise.withResolvers<void>()
    let isFrozen = false
    const pods = [0, 1].map((index) =>
      startScriptedPod((request, connection) => {
        if (index === 1) return well(connection, request)
        isFrozen = true
        taken.resolve()
      }, { hears: () => index === 1 || !isFrozen })
    )
    const gateway = await startTestGateway({
      pods: pods.map((pod) => pod.url),
      policy: "round-robin",
      config: {
        limits: { lostPodGrace: "100 millis" },
        scrape: { interval: "20 millis", timeout: "50 millis", failuresBeforeUnhealthy: 2 }
      }
    })
    cleanups.push(() => {
      for (const pod of pods) pod.stop()
    }, gateway.stop)
    await gateway.healthyPods(2)
    const answers = Promise.all([ask(gateway, true), ask(gateway, true)])
    await taken.promise
    expect((await answers).map(({ complete, status }) => [status, complete])).toEqual([[200, true], [200, true]])
    expect(await metric(gateway, "warmroute_retries_total{reason=\"lost\"}")).toBe(1)
    await gateway.becomesIdle()
  })
})

describe("a pod that answers /health and nothing else", () => {
  const breaker = { failuresInRow: 3, openMin: "150 millis", openMax: "300 millis", slowStart: "1 millis" }

  test("gets no more requests, is tried by one at a time, and is back once that was served", async () => {
    let isBroken = true
    const behave: Behaviour = (c, request) => (isBroken ? c.end() : well(c, request))
    const { gateway, pods } = await fleet([behave, well], { retryBurst: 1000 }, {
      breaker,
      scrape: { interval: "20 millis" }
    })
    const open = `warmroute_pod_breaker_open{pod="${new URL(pods[0]?.url ?? "").host}"}`
    while ((await metric(gateway, open)) < 1) expect((await ask(gateway, false)).status).toBe(200)
    const sinceMs = performance.now()
    const before = posts(pods[0])
    for (let asked = 0; asked < 100; asked++) expect((await ask(gateway, false)).status).toBe(200)
    // It is open for 150 ms at least after each failed try.
    expect(posts(pods[0]) - before).toBeLessThanOrEqual(2 + (performance.now() - sinceMs) / 150)
    expect(gateway.handle.poolView.pods().map(({ health }) => health)).toEqual(["healthy", "healthy"])
    isBroken = false
    while ((await metric(gateway, open)) > 0) expect((await ask(gateway, false)).status).toBe(200)
    expect(await breakerChanges(gateway, "closed")).toBe(1)
    await gateway.becomesIdle()
  })

  test("keeps the one that tries it only for so long", async () => {
    let isHung = false
    const behave: Behaviour = (c) => {
      if (!isHung) c.end()
    }
    const { gateway, pods } = await fleet([behave, well], { retryBurst: 1000 }, {
      breaker: { ...breaker, probeTimeout: "100 millis" }
    })
    while ((await breakerChanges(gateway, "open")) < 1) await ask(gateway, false)
    isHung = true
    const before = posts(pods[0])
    while (posts(pods[0]) === before) expect((await ask(gateway, true)).status).toBe(200)
    expect(await metric(gateway, "warmroute_retries_total{reason=\"first-byte-timeout\"}")).toBe(1)
    expect(await breakerChanges(gateway, "open")).toBe(2)
    await gateway.becomesIdle()
  })

  test("alone gives 503 with the time after which it is tried again", async () => {
    const { gateway, pods } = await fleet([(c) => c.end()], {}, {
      breaker: { ...breaker, openMin: "7 s", openMax: "7 s" },
      waiting: { podlessTimeout: "1 millis" }
    })
    const answers: Array<RawResponse> = []
    for (let i = 0; i < 4; i++) answers.push(await ask(gateway, false))
    expect(answers.map((answer) => [answer.status, codeOf(answer)])).toEqual(
      answers.map(() => [503, "no_pod_available"])
    )
    expect(posts(pods[0])).toBe(3)
    const last = answers.at(-1)
    expect(last === undefined ? "" : headerOf(last.headers, "retry-after")).toBe("7")
    await gateway.becomesIdle()
  })

  test("is not what a request makes of good pods that every one of them answers with 500", async () => {
    const poisoned: Behaviour = (c) => c.send(json("500 Internal Server Error", "{}"))
    const { gateway, pods } = await fleet([poisoned, poisoned, poisoned], { retryBurst: 1000 }, { breaker })
    for (let i = 0; i < 20; i++) expect((await ask(gateway, false)).status).toBe(500)
    expect(await breakerChanges(gateway, "open")).toBe(0)
    expect(pods.reduce((sum, pod) => sum + posts(pod), 0)).toBe(40)
    await gateway.becomesIdle()
  })

  test("is closed when it answers 500 to what others do", async () => {
    const dead: Behaviour = (c) => c.send(json("500 Internal Server Error", "{}"))
    const { gateway } = await fleet([dead, well], { retryBurst: 1000 }, { breaker })
    for (let i = 0; i < 10; i++) expect((await ask(gateway, false)).status).toBe(200)
    expect(await breakerChanges(gateway, "open")).toBeGreaterThan(0)
    await gateway.becomesIdle()
  })

  test("is not what a client makes of a pod by leaving or by asking for what is wrong", async () => {
    const bad: Behaviour = (c) => c.send(json("400 Bad Request", "{}"))
    const { gateway } = await fleet([bad], {}, { breaker })
    for (let i = 0; i < 10; i++) expect((await ask(gateway, false)).status).toBe(400)
    expect(await breakerChanges(gateway, "open")).toBe(0)
    await gateway.becomesIdle()
  })
})
