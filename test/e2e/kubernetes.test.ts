import { afterEach, beforeEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ApiServer, tlsFile } from "../discovery/kubernetes/ApiServer.ts"
import {
  inferencePool,
  objectivesPath,
  podsPath,
  poolsPath,
  rewritesPath,
  vllmPod
} from "../discovery/kubernetes/objects.ts"
import { emulatedModel, startTestFleet, type TestFleet } from "../lib/testFleet.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"

let cluster: ApiServer
let fleet: TestFleet
let gateway: TestGateway
let directory = ""

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "cluster-"))
  cluster = await ApiServer.start([podsPath, poolsPath, objectivesPath, rewritesPath])
  fleet = await startTestFleet(2)
  const targetPorts = fleet.urls.map((url) => ({ number: Number(new URL(url).port) }))
  cluster.put(poolsPath, inferencePool({ targetPorts }))
  cluster.put(podsPath, vllmPod("a", "127.0.0.1"))
  cluster.put(rewritesPath, {
    metadata: { name: "canary" },
    spec: {
      poolRef: { name: "vllm" },
      rules: [{ matches: [{ model: { value: "qwen3" } }], targets: [{ modelRewrite: emulatedModel }] }]
    }
  })
  const kubeconfig = join(directory, "kubeconfig")
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      "current-context": "x",
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      clusters: [{ name: "c", cluster: { server: cluster.url, "certificate-authority": tlsFile("ca.crt") } }],
      users: [{ name: "u", user: { "client-certificate": tlsFile("client.crt"), "client-key": tlsFile("client.key") } }]
    })
  )
  gateway = await startTestGateway({
    config: { discovery: { kubernetes: { pool: "vllm", kubeconfig, settle: "5 millis" } } }
  })
  await gateway.healthyPods(2)
})

afterEach(async () => {
  await gateway.stop()
  await fleet.stop()
  await cluster.stop()
  rmSync(directory, { recursive: true })
})

const ask = (model: string, stream: boolean): Promise<Response> =>
  fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "hello" }], max_tokens: 4, stream })
  })

const models = async (): Promise<ReadonlyArray<string>> => {
  const list = await (await fetch(`${gateway.url}/v1/models`)).json() as {
    readonly data: ReadonlyArray<{ id: string }>
  }
  return list.data.map(({ id }) => id)
}

test("a request for a name that the cluster rewrites is served, and its answer has that name", async () => {
  const whole = await (await ask("qwen3", false)).json() as { readonly model: string; readonly usage: unknown }
  expect(whole.model).toBe("qwen3")
  expect(whole.usage).toBeDefined()
  const events = (await (await ask("qwen3", true)).text()).split("\n\n").filter((event) => event.startsWith("data: {"))
  expect(events.length).toBeGreaterThan(2)
  const names = events.map((event) => (JSON.parse(event.slice(6)) as { readonly model: string }).model)
  expect(new Set(names)).toEqual(new Set(["qwen3"]))
  expect(await models()).toContain("qwen3")
  const untouched = await (await ask(emulatedModel, false)).json() as { readonly model: string }
  expect(untouched.model).toBe(emulatedModel)
})

test("a pod that gets unready takes no requests until it is ready again", async () => {
  cluster.put(podsPath, vllmPod("a", "127.0.0.1", { ready: false }))
  await gateway.healthyPods(0)
  expect((await ask("qwen3", false)).status).toBe(503)
  cluster.put(podsPath, vllmPod("a", "127.0.0.1"))
  await gateway.healthyPods(2)
  expect((await ask("qwen3", false)).status).toBe(200)
})

test("requests cost the cluster's API server no question", async () => {
  // A watch may begin anew by itself at any time; nothing else may come.
  const lists = () => cluster.asked.filter(({ query }) => query.get("watch") === null).length
  const before = lists()
  for (let i = 0; i < 20; i++) expect((await ask("qwen3", false)).status).toBe(200)
  expect(lists()).toBe(before)
})
