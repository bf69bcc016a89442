import { describe, expect, test } from "bun:test"
import type { RequestFeatures } from "../../../src/core/RequestFeatures.ts"
import { SessionTokens } from "../../../src/http/doors/SessionTokens.ts"
import { proxyRoutes } from "../../../src/http/routes.ts"
import { headerMap } from "../../extproc/EnvoyStream.ts"
import { chatBody, chatHeaders, fullDuplex, pods, tellChat, TestPicker } from "../../extproc/TestPicker.ts"
import { RawPod } from "../RawPod.ts"
import { TestFront } from "../TestFront.ts"

/** Names by which some gateway, sidecar or pod is told where a request goes, and what a client would gain by each. */
const internalNames: ReadonlyArray<readonly [name: string, use: string]> = [
  ["x-warmroute-pod", "the pod, as our answers name it"],
  ["x-gateway-destination-endpoint", "the pod, as a picker names it to Envoy"],
  ["x-gateway-destination-endpoint-subset", "the pods that may be picked"],
  ["x-gateway-destination-endpoint-served", "the pod that reservation and breaker are charged with"],
  ["x-gateway-model-name-rewrite", "the model"],
  ["x-llm-d-model-name-rewrite", "the model"],
  ["x-prefiller-host-port", "the host that a decode pod's sidecar has prefill it"],
  ["x-encoder-hosts-ports", "the hosts that encode images for it"],
  ["x-data-parallel-rank", "the rank, which vLLM heeds"],
  ["x-data-parallel-host-port", "the rank, by llm-d's sidecar"],
  ["x-kv-cache-source-host-port", "the host that KV blocks are fetched from"],
  ["x-envoy-original-dst-host", "the pod, at an Envoy behind us"]
]

/** Those of them that pods heed: the others are between proxies, whose routes may match them. */
const heededByPods = new Set(
  internalNames.map(([name]) => name).filter((name) => /prefill|encoder|parallel|kv-cache/.test(name))
)

const target = pods[2]!.id

/** Nothing in it narrows the choice. */
const isUnbound = (request: RequestFeatures, header: string): boolean =>
  request.only === undefined && (request.fallbacksMax ?? 2) === 2 && request.podOfToken?.(header) === ""

const okPod = () => new RawPod((socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"))

describe.each(internalNames)("a client's %s, %s,", (name) => {
  test("chooses nothing at the HTTP front and reaches no pod", async () => {
    using pod = okPod()
    await using front = new TestFront([pod.address])
    let free = false
    front.scheduler.beforePick = async (request) => void (free = isUnbound(request, name))
    for (const spelt of [name, name.toUpperCase()]) {
      const headers = { [spelt]: target, "x-mine": "kept" }
      const answer = await front.post("/v1/completions", { model: "m", prompt: "p" }, { headers })
      expect([answer.status, answer.headers.get("x-warmroute-pod"), free]).toEqual([200, pod.address.id, true])
    }
    const received = pod.received.join("")
    expect(received).not.toContain(target)
    expect(received.match(/x-mine: kept\r\n/g)?.length).toBe(2)
  })

  test("chooses nothing at the picker, and none that pods heed goes past it", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    let free = false
    picker.scheduler.beforePick = async (request) => void (free = isUnbound(request, name))
    tellChat(stream, chatBody(), fullDuplex, { ...chatHeaders, [name]: target, "x-mine": "kept" })
    const heard = await stream.hear()
    expect(free).toBe(true)
    expect(heard.destination).toBe(pods.map(({ id }) => id).join(","))
    expect(heard.removedHeaders).toEqual(heededByPods.has(name) ? [name] : [])
  })
})

test("a picker's subset comes from Envoy's metadata alone, whatever the client's headers say", async () => {
  await using picker = await TestPicker.start()
  const stream = picker.open()
  const hint = { "envoy.lb.subset_hint": { "x-gateway-destination-endpoint-subset": [pods[1]!.id] } }
  stream.tell({
    requestHeaders: {
      headers: headerMap({ ...chatHeaders, "x-gateway-destination-endpoint-subset": target }),
      endOfStream: true
    },
    protocolConfig: fullDuplex,
    metadataContext: { filterMetadata: hint }
  })
  expect((await stream.hear()).destination).toBe(pods[1]!.id)
})

const transfer = { do_remote_prefill: true, remote_host: "10.9.9.9", remote_port: 1 }

describe.each([
  ["kv_transfer_params", { kv_transfer_params: transfer }],
  ["ec_transfer_params", { ec_transfer_params: transfer }],
  ["vllm_xargs.kv_transfer_params", { vllm_xargs: { kv_transfer_params: transfer } }],
  ["vllm_xargs.ec_transfer_params", { vllm_xargs: { ec_transfer_params: "x" } }],
  ["sampling_params.extra_args.kv_transfer_params", {
    sampling_params: { extra_args: { kv_transfer_params: transfer } }
  }]
])("a body can't name a host that the pod would fetch from in %s", (param, fields) => {
  test.each(proxyRoutes.filter(({ prompt }) => prompt !== "form").map(({ path }) => path))("at %s", async (path) => {
    using pod = okPod()
    await using front = new TestFront([pod.address])
    const whole = { model: "m", prompt: "p", messages: [{ role: "user", content: "p" }], input: "p", token_ids: [1] }
    const answer = await front.post(path, { ...whole, ...fields })
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ error: path === "/v1/messages" ? {} : { param } })
    expect(front.scheduler.picks.length + pod.received.length).toBe(0)
  })

  test("at the picker", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    tellChat(stream, chatBody(fields))
    const { immediateBody, status } = await stream.hear()
    expect([status, picker.scheduler.picks.length]).toEqual(["BadRequest", 0])
    expect(immediateBody).toContain(`${param} is not for clients`)
  })
})

test("a null in their place is what SDKs send for nothing, and passes", async () => {
  using pod = okPod()
  await using front = new TestFront([pod.address])
  const nothing = {
    kv_transfer_params: null,
    ec_transfer_params: null,
    vllm_xargs: { kv_transfer_params: null, mine: 1 },
    sampling_params: null
  }
  expect((await front.post("/v1/completions", { model: "m", prompt: "p", ...nothing })).status).toBe(200)
})

test("a form has no fields that choose a pod", async () => {
  using pod = okPod()
  await using front = new TestFront([pod.address])
  const body = new FormData()
  const fields = { model: "m", pod: target, "x-data-parallel-rank": "1", file: new Blob(["audio"]) }
  for (const [name, value] of Object.entries(fields)) body.append(name, value)
  let free = false
  front.scheduler.beforePick = async (request) => void (free = isUnbound(request, "pod"))
  const answer = await fetch(`${front.url}/v1/audio/transcriptions`, { method: "POST", body })
  expect([answer.status, answer.headers.get("x-warmroute-pod"), free]).toEqual([200, pod.address.id, true])
})

test.each(["x-warmroute-pod", "X-Warmroute-Pod", "X-SESSION-TOKEN"])(
  "a pod's own %s is not what the client is told of the gateway",
  async (name) => {
    using pod = new RawPod((socket) =>
      socket.write(`HTTP/1.1 200 OK\r\n${name}: elsewhere\r\ncontent-length: 2\r\n\r\nok`)
    )
    const sessionTokens = new SessionTokens({ form: "signed", secrets: ["s".repeat(32)] })
    await using front = new TestFront([pod.address], { options: { sessionHeader: "x-session-token", sessionTokens } })
    const { headers } = await front.post("/v1/completions", { model: "m", prompt: "p" })
    expect(headers.get("x-warmroute-pod")).toBe(pod.address.id)
    expect(headers.get("x-session-token")).toBe(sessionTokens.tokenOf(pod.address))
  }
)
