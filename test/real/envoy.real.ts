import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { freePort } from "../../bench/Process.ts"
import { podAddress } from "../../src/core/Pod.ts"
import { Overloaded } from "../../src/errors.ts"
import { selfSignedTls } from "../../src/extproc/selfSignedTls.ts"
import { TestPicker } from "../extproc/TestPicker.ts"
import { eventually } from "../lib/eventually.ts"
import { type PodConnection, type RawPod, type SeenRequest, startRawPod } from "../lib/rawPod.ts"
import { emulatedModel, startTestFleet, type TestFleet } from "../lib/testFleet.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"
import { type Envoy, type EnvoySettings, installEnvoy, startEnvoy } from "./realEnvoy.ts"

beforeAll(installEnvoy, 240_000)

const portOf = (url: string): number => Number(new URL(url).port)
const localPod = (url: string) => podAddress("127.0.0.1", portOf(url), false)
const json = { "content-type": "application/json" }

const answerHead = (length: number, type = "application/json") =>
  `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\n\r\n`

const answerWith = (body: string) => (_request: SeenRequest, connection: PodConnection) =>
  connection.send(answerHead(body.length) + body)

const post = (envoy: Envoy, body: string, init: RequestInit = {}) =>
  fetch(`${envoy.url}/v1/chat/completions`, { method: "POST", headers: json, body, ...init })

const chat = (fields: object) => JSON.stringify({ model: "m", messages: [{ role: "user", content: "Hi" }], ...fields })

/** Everything that is started is stopped, the last first. */
class Stage implements AsyncDisposable {
  private readonly stops: Array<() => unknown> = []

  keep<A extends { readonly stop: () => unknown }>(thing: A): A {
    this.stops.push(thing.stop)
    return thing
  }

  async envoy(settings: EnvoySettings): Promise<Envoy> {
    return this.keep(await startEnvoy(settings))
  }

  /** A picker that names the pods in turn, and Envoy in front of it. */
  async picked(pods: ReadonlyArray<RawPod>, settings: Omit<EnvoySettings, "pickerPort"> = {}, fallbacks = 2) {
    const picker = await TestPicker.start({ pods: pods.map(({ url }) => localPod(url)), options: { fallbacks } })
    this.keep({ stop: () => picker[Symbol.asyncDispose]() })
    return { picker, envoy: await this.envoy({ ...settings, pickerPort: picker.server.port }) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stop of this.stops.toReversed()) await stop()
  }
}

const duplexAnswers = ["response_body_mode: NONE", "response_body_mode: FULL_DUPLEX_STREAMED"] as const
const buffered = ["request_body_mode: FULL_DUPLEX_STREAMED", "request_body_mode: BUFFERED"] as const
const failOpen = [["failure_mode_allow: false", "failure_mode_allow: true"], buffered] as const
const modes: ReadonlyArray<readonly [string, EnvoySettings["replaced"]]> = [
  ["as shipped", []],
  ["full duplex both ways", [duplexAnswers]],
  ["a buffered request", [buffered]],
  ["a streamed answer", [["response_body_mode: NONE", "response_body_mode: STREAMED"]]]
]

describe.each(modes)("Envoy with %s", (_name, replaced = []) => {
  test("sends each request to its pod, as it came, and hands back the answer as it is", async () => {
    await using stage = new Stage()
    const pods = ["one", "two", "three"].map((name) => stage.keep(startRawPod(answerWith(`{"pod":"${name}"}`))))
    const { envoy, picker } = await stage.picked(pods, { replaced })
    for (const name of ["one", "two", "three", "one"]) {
      const answer = await post(envoy, chat({ name }))
      expect(answer.status).toBe(200)
      expect(await answer.text()).toBe(`{"pod":"${name}"}`)
    }
    expect(pods.map(({ seen }) => seen.length)).toEqual([2, 1, 1])
    const [request] = pods[1]?.seen ?? []
    expect(new TextDecoder().decode(request?.body)).toBe(chat({ name: "two" }))
    expect(request?.headers.some(([name]) => name === "x-gateway-destination-endpoint")).toBe(false)
    await picker.quiet()
    expect(picker.scheduler.outcomes()).toEqual(["finished", "finished", "finished", "finished"])
  }, 30_000)

  test("lets a stream through while the pod still writes it", async () => {
    await using stage = new Stage()
    const read = Promise.withResolvers<void>()
    const pod = stage.keep(startRawPod((_request, connection) => {
      connection.send(answerHead(28, "text/event-stream") + "data: first\n\n")
      read.promise.then(() => connection.send("data: [DONE]\n\n\n"))
    }))
    const { envoy, picker } = await stage.picked([pod], { replaced })
    const reader = (await post(envoy, chat({ stream: true }))).body!.getReader()
    const decoder = new TextDecoder()
    expect(decoder.decode((await reader.read()).value)).toBe("data: first\n\n")
    expect(picker.scheduler.ends.get(0)).toEqual([])
    read.resolve()
    let rest = ""
    for (let next = await reader.read(); !next.done; next = await reader.read()) rest += decoder.decode(next.value)
    expect(rest).toBe("data: [DONE]\n\n\n")
    await picker.quiet()
    expect(picker.scheduler.outcomes()).toEqual(["finished"])
  }, 30_000)

  test("hands a refusal to the client with its status, its reason and its words", async () => {
    await using stage = new Stage()
    const { envoy, picker } = await stage.picked([stage.keep(startRawPod(answerWith("{}")))], { replaced })
    picker.scheduler.beforePick = () => Promise.reject(new Overloaded("scheduler_mailbox_full", "all full", 3))
    const answer = await post(envoy, chat({}))
    expect(answer.status).toBe(429)
    expect(answer.headers.get("x-llm-d-request-dropped-reason")).toBe("rejected-saturated")
    expect(answer.headers.get("retry-after")).toBe("3")
    expect(await answer.json()).toMatchObject({ error: { message: "all full", code: "scheduler_mailbox_full" } })
    await picker.quiet()
  }, 30_000)

  test("sends a request without a body to a pod too", async () => {
    await using stage = new Stage()
    const { envoy } = await stage.picked([stage.keep(startRawPod(answerWith("[]")))], { replaced })
    expect(await (await fetch(`${envoy.url}/v1/models`)).text()).toBe("[]")
  }, 30_000)
})

describe("Envoy as shipped", () => {
  test("carries a body of 3 MB byte for byte", async () => {
    await using stage = new Stage()
    const pod = stage.keep(startRawPod(answerWith("{}")))
    const { envoy } = await stage.picked([pod])
    const body = chat({ padding: Array.from({ length: 300_000 }, (_, i) => i.toString(36).padStart(9, "-")).join(" ") })
    expect(body.length).toBeGreaterThan(3_000_000)
    expect((await post(envoy, body)).status).toBe(200)
    expect(Bun.hash(pod.seen[0]?.body ?? "")).toBe(Bun.hash(body))
  }, 30_000)

  test("goes on to the fallbacks in order when pods are dead, and the reservation follows", async () => {
    await using stage = new Stage()
    const [dead, deadToo] = [startRawPod(answerWith("")), startRawPod(answerWith(""))]
    const alive = stage.keep(startRawPod(answerWith("{}")))
    const { envoy, picker } = await stage.picked([dead, deadToo, alive])
    dead.stop()
    deadToo.stop()
    const answer = await post(envoy, chat({}))
    expect(answer.status).toBe(200)
    expect(answer.headers.get("x-warmroute-pod")).toBe(localPod(alive.url).id)
    await picker.quiet()
    expect(picker.scheduler.failures.map(({ id }) => id)).toEqual([localPod(dead.url).id])
    expect(picker.scheduler.outcomes()).toEqual(["failed", "finished"])
  }, 30_000)

  test("has a large body ready for the second pod when the first one breaks off before it answers", async () => {
    await using stage = new Stage()
    const breaks = stage.keep(startRawPod((_request, connection) => connection.end()))
    const alive = stage.keep(startRawPod(answerWith("{}")))
    const { envoy, picker } = await stage.picked([breaks, alive])
    const body = chat({ padding: "x".repeat(3_000_000) })
    expect((await post(envoy, body)).status).toBe(200)
    expect([breaks.seen.length, alive.seen[0]?.body.length]).toEqual([1, body.length])
    await picker.quiet()
    expect(picker.scheduler.outcomes()).toEqual(["failed", "finished"])
  }, 30_000)

  test("tells the picker when no pod answered at all", async () => {
    await using stage = new Stage()
    const dead = startRawPod(answerWith(""))
    const { envoy, picker } = await stage.picked([dead])
    dead.stop()
    expect((await post(envoy, chat({}))).status).toBe(503)
    await picker.quiet()
    expect(picker.scheduler.failures.map(({ id }) => id)).toEqual([localPod(dead.url).id])
    expect(picker.scheduler.outcomes()).toEqual(["failed"])
  }, 30_000)

  test("gives the reservation back when the client leaves", async () => {
    await using stage = new Stage()
    const began = Promise.withResolvers<void>()
    const pod = stage.keep(startRawPod(() => began.resolve()))
    const { envoy, picker } = await stage.picked([pod])
    const leaves = new AbortController()
    const answer = post(envoy, chat({}), { signal: leaves.signal }).catch(() => "left")
    await began.promise
    leaves.abort()
    expect(await answer).toBe("left")
    await picker.quiet()
    expect(picker.scheduler.outcomes()).toEqual(["aborted"])
  }, 30_000)

  test("shows the usage of an answer in one piece where the request is buffered", async () => {
    await using stage = new Stage()
    const usage = "{\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}"
    const { envoy, picker } = await stage.picked([stage.keep(startRawPod(answerWith(usage)))], { replaced: [buffered] })
    expect(await (await post(envoy, chat({}))).text()).toBe(usage)
    await picker.quiet()
    expect(picker.scheduler.ends.get(0)).toMatchObject([{ outcome: "finished", promptTokens: 7, outputTokens: 3 }])
  }, 30_000)

  test.each(
    [
      ["full duplex both ways", [duplexAnswers]],
      ["a streamed answer", [["response_body_mode: NONE", "response_body_mode: STREAMED"]]],
      ["a buffered request", [buffered]]
    ] as const
  )("with %s hands back the client's name of a model that was rewritten", async (_name, replaced) => {
    await using stage = new Stage()
    const answer = (model: string) => `{"model":"${model}","choices":[]}`
    const pod = stage.keep(startRawPod(answerWith(answer("served-32b-instruct"))))
    const rewrites = { targetOf: () => "served-32b-instruct", names: () => [] }
    const picker = await TestPicker.start({ pods: [localPod(pod.url)], front: { rewrites } })
    stage.keep({ stop: () => picker[Symbol.asyncDispose]() })
    const envoy = await stage.envoy({ pickerPort: picker.server.port, replaced })
    const heard = await post(envoy, chat({ model: "m" }))
    expect(await heard.text()).toBe(answer("m"))
    expect(new TextDecoder().decode(pod.seen[0]?.body)).toBe(chat({ model: "served-32b-instruct" }))
  }, 30_000)

  test("asks a picker over TLS", async () => {
    await using stage = new Stage()
    const pod = stage.keep(startRawPod(answerWith("{}")))
    const tls = selfSignedTls(["warmroute"], Date.now())
    const picker = await TestPicker.start({ pods: [localPod(pod.url)], listen: { tls } })
    stage.keep({ stop: () => picker[Symbol.asyncDispose]() })
    const overTls = [
      "      load_assignment:\n        cluster_name: picker",
      "      transport_socket:\n        name: envoy.transport_sockets.tls\n        typed_config:\n" +
      "          \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n" +
      "      load_assignment:\n        cluster_name: picker"
    ] as const
    const envoy = await stage.envoy({ pickerPort: picker.server.port, replaced: [overTls] })
    expect((await post(envoy, chat({}))).status).toBe(200)
    expect(picker.scheduler.picks.length).toBe(1)
  }, 30_000)

  test("gives the reservation back when Envoy's time for an answer is over", async () => {
    await using stage = new Stage()
    const pod = stage.keep(startRawPod(() => undefined))
    const hasty = [
      "timeout: 0s\n                            retry",
      "timeout: 0.2s\n                            retry"
    ] as const
    const { envoy, picker } = await stage.picked([pod], { replaced: [hasty] })
    expect((await post(envoy, chat({}))).status).toBe(504)
    await picker.quiet()
    expect(picker.scheduler.outcomes()).toEqual(["failed"])
  }, 30_000)

  test("does not let a client choose its pod", async () => {
    await using stage = new Stage()
    const pod = stage.keep(startRawPod(answerWith("{}")))
    const other = stage.keep(startRawPod(answerWith("{}")))
    const { envoy } = await stage.picked([pod])
    const headers = { ...json, "x-gateway-destination-endpoint": localPod(other.url).id }
    expect((await post(envoy, chat({}), { headers })).status).toBe(200)
    expect([pod.seen.length, other.seen.length]).toEqual([1, 0])
  }, 30_000)

  test("fails closed without a picker, and open where that is set", async () => {
    await using stage = new Stage()
    const pod = stage.keep(startRawPod(answerWith("{}")))
    const nobody = { pickerPort: freePort(), anyPodPorts: [portOf(pod.url)] }
    expect((await post(await stage.envoy(nobody), chat({}))).status).toBeGreaterThanOrEqual(500)
    expect(pod.seen.length).toBe(0)
    expect((await post(await stage.envoy({ ...nobody, replaced: failOpen }), chat({}))).status).toBe(200)
    expect(new TextDecoder().decode(pod.seen[0]?.body)).toBe(chat({}))
  }, 30_000)

  test("routes by the header alone with llm-d's own settings, one pod a request", async () => {
    await using stage = new Stage()
    const pods = ["one", "two"].map((name) => stage.keep(startRawPod(answerWith(`"${name}"`))))
    const byHeader =
      "original_dst_lb_config: { use_http_header: true, http_header_name: x-gateway-destination-endpoint }"
    const replaced = [
      [
        "original_dst_lb_config:\n        metadata_key: { key: envoy.lb, path: [{ key: x-gateway-destination-endpoint-0 }] }",
        byHeader
      ],
      ["request_headers_to_remove: [x-gateway-destination-endpoint]", "request_headers_to_remove: []"]
    ] as const
    const { envoy } = await stage.picked(pods, { replaced }, 0)
    expect(await (await post(envoy, chat({}))).text()).toBe("\"one\"")
    expect(await (await post(envoy, chat({}))).text()).toBe("\"two\"")
  }, 30_000)

  test("has no failed request while pickers come and go under load, when it fails open", async () => {
    await using stage = new Stage()
    const pod = stage.keep(startRawPod(answerWith("{}")))
    const start = (port: number) => TestPicker.start({ pods: [localPod(pod.url)], listen: { port } })
    let picker = await start(0)
    const { port } = picker.server
    const envoy = await stage.envoy({ pickerPort: port, anyPodPorts: [portOf(pod.url)], replaced: failOpen })
    const statuses = new Map<number, number>()
    const over = new AbortController()
    const load = Array.from({ length: 8 }, async () => {
      while (!over.signal.aborted) {
        const { status } = await post(envoy, chat({}))
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
      }
    })
    for (let restart = 0; restart < 4; restart++) {
      const before = picker.scheduler.picks.length
      await eventually("picks", () => picker.scheduler.picks.length > before + 50)
      await picker.server.stop(1_000)
      await picker[Symbol.asyncDispose]()
      expect(picker.scheduler.outcomes().length).toBeGreaterThan(50)
      picker = await start(port)
    }
    await eventually("picks of the last picker", () => picker.scheduler.picks.length > 50)
    over.abort()
    await Promise.all(load)
    await picker[Symbol.asyncDispose]()
    expect([...statuses.keys()]).toEqual([200])
  }, 60_000)
})

describe("a whole gateway as the picker of emulated pods", () => {
  let fleet: TestFleet
  let gateway: TestGateway
  let envoy: Envoy

  beforeAll(async () => {
    fleet = await startTestFleet(3, { speed: 1000 })
    gateway = await startTestGateway({
      pods: fleet.urls,
      config: { extproc: { listen: { hostname: "127.0.0.1", port: 0 } }, scrape: { interval: "1 second" } }
    })
    await gateway.healthyPods(3)
    envoy = await startEnvoy({ pickerPort: gateway.handle.picker?.port ?? 0 })
  }, 60_000)

  afterAll(async () => {
    await envoy?.stop()
    await gateway?.stop()
    await fleet?.stop()
  }, 60_000)

  const ask = (content: string, fields: object = {}) =>
    post(envoy, chat({ model: emulatedModel, max_tokens: 4, messages: [{ role: "user", content }], ...fields }))

  test("keeps a conversation on the pod that has it cached", async () => {
    for (const subject of ["looms", "tides", "kilns", "weirs"]) {
      const system = `${subject} `.repeat(800)
      const first = (await ask(`${system} What first?`)).headers.get("x-warmroute-pod")
      for (const question of ["What then?", "And last?"]) {
        expect((await ask(`${system} ${question}`)).headers.get("x-warmroute-pod")).toBe(first)
      }
    }
    await gateway.becomesIdle()
  }, 60_000)

  test("answers 404 for a model that no pod serves", async () => {
    const answer = await ask("Hi", { model: "gpt-9" })
    expect(answer.status).toBe(404)
    expect(await answer.json()).toMatchObject({ error: { code: "model_not_found", param: "model" } })
  }, 60_000)

  test("carries 20,000 requests, 32 at a time, without one 5xx", async () => {
    const wanted = 20_000
    const statuses = new Map<number, number>()
    let sent = 0
    const startedMs = performance.now()
    await Promise.all(Array.from({ length: 32 }, async () => {
      while (sent < wanted) {
        const answer = await ask(`Question ${sent++ % 500}`, { max_tokens: 1 })
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
        await answer.arrayBuffer()
      }
    }))
    const tookS = (performance.now() - startedMs) / 1000
    process.stderr.write(`${wanted} requests in ${tookS.toFixed(1)} s\n`)
    expect(Object.fromEntries(statuses)).toEqual({ 200: wanted })
    await gateway.becomesIdle()
  }, 200_000)
})
