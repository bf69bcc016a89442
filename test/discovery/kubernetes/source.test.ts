import { describe, expect, test } from "bun:test"
import { eventually } from "../../lib/eventually.ts"
import { ApiServer } from "./ApiServer.ts"
import { useCluster } from "./useCluster.ts"
import {
  inferencePool,
  objectivesPath,
  oldRewritesPath,
  podsPath,
  poolsPath,
  rewritesPath,
  slicesPath,
  vllmPod
} from "./objects.ts"
import { tokenAccess } from "./followCluster.ts"

const cluster = useCluster()

describe("the pods of an InferencePool", () => {
  test("come, get ready, get unready and go", async () => {
    const { nextSet } = await cluster.startPool()
    cluster.server.put(podsPath, vllmPod("c", undefined))
    cluster.server.put(podsPath, vllmPod("c", "10.0.0.3", { ready: false }))
    cluster.server.put(podsPath, vllmPod("c", "10.0.0.3"))
    expect(await nextSet()).toBe("10.0.0.1:8000 10.0.0.2:8000 10.0.0.3:8000")
    cluster.server.put(podsPath, vllmPod("a", "10.0.0.1", { ready: false }))
    expect(await nextSet()).toBe("10.0.0.2:8000 10.0.0.3:8000")
    cluster.server.put(podsPath, vllmPod("b", "10.0.0.2", { deleted: true }))
    expect(await nextSet()).toBe("10.0.0.3:8000")
    cluster.server.put(podsPath, vllmPod("a", "10.0.0.1"))
    expect(await nextSet()).toBe("10.0.0.1:8000 10.0.0.3:8000")
    cluster.server.remove(podsPath, "c")
    expect(await nextSet()).toBe("10.0.0.1:8000")
  })

  test("are those that its selector names", async () => {
    cluster.server.put(podsPath, vllmPod("other", "10.0.0.9", { labels: { app: "web" } }))
    const { nextSet } = await cluster.startPool()
    cluster.server.put(podsPath, vllmPod("b", "10.0.0.2", { labels: { app: "web" } }))
    expect(await nextSet()).toBe("10.0.0.1:8000")
    cluster.server.put(poolsPath, inferencePool({ selector: { matchLabels: { app: "web" } } }))
    expect(await nextSet()).toBe("10.0.0.2:8000 10.0.0.9:8000")
  })

  test("have one pod for each target port, less those that an annotation leaves out", async () => {
    const { nextSet } = await cluster.startPool()
    cluster.server.put(poolsPath, inferencePool({ targetPorts: [{ number: 8000 }, { number: 8001 }] }))
    expect(await nextSet()).toBe("10.0.0.1:8000 10.0.0.1:8001 10.0.0.2:8000 10.0.0.2:8001")
    cluster.server.put(podsPath, vllmPod("b", "10.0.0.2", { annotations: { "llm-d.ai/active-ports": "8001, 9999" } }))
    expect(await nextSet()).toBe("10.0.0.1:8000 10.0.0.1:8001 10.0.0.2:8001")
  })

  test("are told again when their labels change", async () => {
    const { nextSet } = await cluster.startPool()
    cluster.server.put(podsPath, vllmPod("a", "10.0.0.1", { labels: { tier: "gold" } }))
    expect(await nextSet()).toBe("10.0.0.1:8000 10.0.0.2:8000")
  })

  test("with a role that serves no whole requests are left out", async () => {
    cluster.server.put(podsPath, vllmPod("p", "10.0.0.8", { labels: { "llm-d.ai/role": "prefill" } }))
    cluster.server.put(podsPath, vllmPod("d", "10.0.0.9", { labels: { "llm-d.ai/role": "decode" } }))
    cluster.server.put(poolsPath, inferencePool())
    const { nextLog, nextSet } = cluster.start()
    expect(await nextSet()).toBe("10.0.0.9:8000")
    expect(await nextLog()).toContain(
      "InferencePool vllm: pods app=vllm, ports 8000, picker Service warmroute:9002, FailOpen"
    )
    expect(await nextLog()).toContain("default/p has the role prefill, which serves no whole requests")
  })

  test("are none until the pool exists, and none once it is gone", async () => {
    cluster.server.put(podsPath, vllmPod("a", "10.0.0.1"))
    const { nextLog, nextSet } = cluster.start()
    expect(await nextSet()).toBe("")
    expect(await nextLog()).toContain("InferencePool vllm does not exist in default")
    await cluster.watching(poolsPath)
    cluster.server.put(poolsPath, inferencePool())
    expect(await nextSet()).toBe("10.0.0.1:8000")
    cluster.server.remove(poolsPath, "vllm")
    expect(await nextSet()).toBe("")
  })

  test("stay when the pool is edited into nonsense, which is said", async () => {
    const { nextLog, nextSet } = await cluster.startPool()
    await nextLog()
    cluster.server.put(poolsPath, inferencePool({ targetPorts: [] }))
    expect(await nextLog()).toContain("vllm is passed over: spec.targetPorts is not a list of 1 to 8 ports")
    cluster.server.remove(podsPath, "b")
    expect(await nextSet()).toBe("10.0.0.1:8000")
  })

  test("that speak HTTP/2 only are warned of", async () => {
    cluster.server.put(poolsPath, inferencePool({ appProtocol: "kubernetes.io/h2c" }))
    const { nextLog } = cluster.start()
    await nextLog()
    expect(await nextLog()).toContain("says kubernetes.io/h2c, but warmroute asks pods by HTTP/1.1")
  })

  test("come page by page", async () => {
    cluster.server.put(poolsPath, inferencePool())
    for (let i = 0; i < 7; i++) cluster.server.put(podsPath, vllmPod(`p${i}`, `10.0.0.${i}`))
    const { nextSet } = cluster.start({ pageSize: 3 })
    expect((await nextSet()).split(" ").length).toBe(7)
    expect(cluster.server.asked.filter(({ path, query }) => path === podsPath && query.has("limit")).length).toBe(3)
  })

  test("are listed from the start again when the pages expire in between", async () => {
    cluster.server.put(poolsPath, inferencePool())
    for (let i = 0; i < 5; i++) cluster.server.put(podsPath, vllmPod(`p${i}`, `10.0.0.${i}`))
    cluster.server.failNext(/pods\?.*continue=/, { status: 410 })
    const { nextSet } = cluster.start({ pageSize: 3, target: { selector: "app=vllm", ports: [8000] } })
    expect((await nextSet()).split(" ").length).toBe(5)
  })
})

describe("a cluster that", () => {
  test("is not there fails the start", async () => {
    const right = await tokenAccess(cluster.server)()
    const { nextSet } = cluster.start({ readAccess: async () => ({ ...right, server: "https://127.0.0.1:1" }) })
    expect(await nextSet()).toContain("https://127.0.0.1:1: the connection is refused")
  })

  test("answers nonsense fails the start", async () => {
    for (const body of ["<html>", "[]", "{}", "{\"items\":{},\"metadata\":{}}"]) {
      cluster.server.failNext(/inferencepools/, { status: 200, body })
      expect(await (cluster.start()).nextSet()).toMatch(/^failed: kubernetes InferencePool vllm: can't list/)
    }
  })

  test("has no end of pages fails the start", async () => {
    const endless = JSON.stringify({ metadata: { resourceVersion: "1", continue: "again" }, items: [] })
    for (let i = 0; i < 13; i++) cluster.server.failNext(/inferencepools/, { status: 200, body: endless })
    const { nextSet } = cluster.start({ objectsMax: 2, pageSize: 1 })
    expect(await nextSet()).toEndWith("can't list InferencePool vllm in default: it has more than 12 pages")
  })

  test("answers more than the limit fails the start", async () => {
    cluster.server.put(poolsPath, inferencePool())
    cluster.server.put(podsPath, vllmPod("a", "10.0.0.1"))
    const { nextSet } = cluster.start({ answerBytesMax: 2000 })
    expect(await nextSet()).toContain("its answer is longer than 2000 bytes")
  })

  test("lists 5,000 pods is followed", async () => {
    cluster.server.put(poolsPath, inferencePool())
    for (let i = 0; i < 5000; i++) cluster.server.put(podsPath, vllmPod(`p${i}`, `10.${i >> 8}.${i & 255}.1`))
    cluster.server.compact()
    const { nextSet } = cluster.start()
    expect((await nextSet()).split(" ").length).toBe(5000)
    await cluster.watching(podsPath)
    cluster.server.remove(podsPath, "p4999")
    expect((await nextSet()).split(" ").length).toBe(4999)
  })

  test("has more pods than the limit gives the first of them, and says so", async () => {
    for (let i = 0; i < 9; i++) cluster.server.put(podsPath, vllmPod(`p${i}`, `10.0.0.${i}`))
    const { nextLog, nextSet } = cluster.start({
      objectsMax: 4,
      pageSize: 2,
      target: { selector: "app=vllm", ports: [1] }
    })
    expect((await nextSet()).split(" ").length).toBe(4)
    await cluster.watching(podsPath)
    cluster.server.put(podsPath, vllmPod("late", "10.0.0.77"))
    expect(await nextLog()).toContain("there are more than 4 pods app=vllm in default; the rest is left out")
  })
})

describe("without a CRD", () => {
  test("pods are found by their labels", async () => {
    cluster.server.put(podsPath, vllmPod("a", "fd00::7"))
    const { nextSet } = cluster.start({ target: { selector: "app=vllm", ports: [8000, 8001] } })
    expect(await nextSet()).toBe("[fd00::7]:8000 [fd00::7]:8001")
    await cluster.watching(podsPath)
    cluster.server.put(podsPath, vllmPod("b", "10.0.0.2"))
    expect(await nextSet()).toBe("10.0.0.2:8000 10.0.0.2:8001 [fd00::7]:8000 [fd00::7]:8001")
    expect(cluster.server.asked.some(({ path }) => path === poolsPath || path === rewritesPath)).toBe(false)
  })

  const slice = (name: string, fields: Readonly<Record<string, unknown>>) => ({
    metadata: { name, labels: { "kubernetes.io/service-name": "vllm" } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8000, protocol: "TCP" }],
    ...fields
  })

  test("pods are found by the EndpointSlices of a Service", async () => {
    cluster.server.put(
      slicesPath,
      slice("vllm-1", {
        endpoints: [
          { addresses: ["10.0.0.1"], conditions: { ready: true }, targetRef: { kind: "Pod", name: "a" } },
          { addresses: ["10.0.0.2"], conditions: { ready: false, serving: true, terminating: true } },
          { addresses: ["10.0.0.3"], conditions: {} }
        ]
      })
    )
    cluster.server.put(
      slicesPath,
      slice("vllm-2", { addressType: "IPv6", endpoints: [{ addresses: ["fd00::1"], conditions: {} }] })
    )
    const { nextSet } = cluster.start({ target: { service: "vllm", ports: [] } })
    expect(await nextSet()).toBe("10.0.0.1:8000 10.0.0.3:8000")
    await cluster.watching(slicesPath)
    cluster.server.put(slicesPath, slice("vllm-1", { endpoints: null }))
    expect(await nextSet()).toBe("[fd00::1]:8000")
  })

  test("a Service of several ports needs to be told which", async () => {
    const ports = [{ name: "http", port: 8000 }, { name: "metrics", port: 9000 }]
    cluster.server.put(slicesPath, slice("vllm-1", { ports, endpoints: [{ addresses: ["10.0.0.1"] }] }))
    const vague = cluster.start({ target: { service: "vllm", ports: [] } })
    expect(await vague.nextSet()).toBe("")
    expect(await vague.nextLog()).toContain("the ports 8000 (http), 9000 (metrics); say which serve requests")
    const told = cluster.start({ target: { service: "vllm", ports: [8000] } })
    expect(await told.nextSet()).toBe("10.0.0.1:8000")
  })
})

describe("the rules of a pool", () => {
  const rewrite = (name: string, createdAt: string, to: string, models: ReadonlyArray<string> = []) => ({
    metadata: { name, creationTimestamp: createdAt },
    spec: {
      poolRef: { name: "vllm" },
      rules: [{ matches: models.map((value) => ({ model: { value } })), targets: [{ modelRewrite: to }] }]
    }
  })

  test("are objectives with their priority, as they come and go", async () => {
    cluster.server.put(objectivesPath, {
      metadata: { name: "batch" },
      spec: { poolRef: { name: "vllm" }, priority: -1 }
    })
    cluster.server.put(objectivesPath, {
      metadata: { name: "foreign" },
      spec: { poolRef: { name: "other" }, priority: 7 }
    })
    cluster.server.put(objectivesPath, {
      metadata: { name: "bad" },
      spec: { poolRef: { name: "vllm" }, priority: "high" }
    })
    const { rules } = await cluster.startPool()
    expect(["batch", "foreign", "bad", "none"].map((name) => rules.priorityOf(name))).toEqual([
      -1,
      undefined,
      undefined,
      undefined
    ])
    await cluster.watching(objectivesPath)
    cluster.server.put(objectivesPath, { metadata: { name: "chat" }, spec: { poolRef: { name: "vllm" } } })
    cluster.server.remove(objectivesPath, "batch")
    await eventually("the change", () => rules.priorityOf("chat") === 0 && rules.priorityOf("batch") === undefined)
  })

  test("are rewrites, known before the first pods", async () => {
    cluster.server.put(rewritesPath, rewrite("young", "2026-02-01T00:00:00Z", "young", ["gpt-4o"]))
    cluster.server.put(rewritesPath, rewrite("old", "2026-01-01T00:00:00Z", "old", ["gpt-4o"]))
    cluster.server.put(rewritesPath, rewrite("all", "2025-01-01T00:00:00Z", "base"))
    const { rules } = await cluster.startPool()
    expect(["gpt-4o", "else"].map((name) => rules.targetOf(name, 0))).toEqual(["old", "base"])
    await cluster.watching(rewritesPath)
    cluster.server.remove(rewritesPath, "old")
    await eventually("the younger rule", () => rules.targetOf("gpt-4o", 0) === "young")
    expect(rules.names()).toEqual(["gpt-4o"])
  })

  test("are read from the old group where the cluster knows only that", async () => {
    await cluster.server.stop()
    cluster.server = await ApiServer.start([podsPath, poolsPath, oldRewritesPath])
    cluster.server.put(oldRewritesPath, rewrite("all", "2025-01-01T00:00:00Z", "base"))
    const { rules } = await cluster.startPool()
    expect(rules.targetOf("any", 0)).toBe("base")
  })

  test("are none in a cluster that does not know them, until it does", async () => {
    await cluster.server.stop()
    cluster.server = await ApiServer.start([podsPath, poolsPath])
    const { rules } = await cluster.startPool()
    expect(rules.targetOf("any", 0)).toBeUndefined()
    cluster.server.install(rewritesPath)
    cluster.server.put(rewritesPath, rewrite("all", "2025-01-01T00:00:00Z", "base"))
    await eventually("the rule", () => rules.targetOf("any", 0) === "base")
  })

  test("that we may not read are none, and the pods come all the same", async () => {
    cluster.server.forbidden.add(rewritesPath)
    cluster.server.forbidden.add(objectivesPath)
    const { rules } = await cluster.startPool()
    expect(rules.targetOf("any", 0)).toBeUndefined()
  })
})
