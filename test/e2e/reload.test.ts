import { afterAll, beforeAll, expect, spyOn, test } from "bun:test"
import { explainPath } from "../../src/http/adminRoutes.ts"
import { keyHash, newKey } from "../../src/http/doors/clientKey.ts"
import { reloadPath } from "../../src/http/reloadRoute.ts"
import { eventually } from "../lib/eventually.ts"
import { textOf } from "../lib/rawHttp.ts"
import type { PodConnection, RawPod } from "../lib/rawPod.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { streamCompletion } from "../lib/streamCompletion.ts"
import { event, streamEnd, streamHead } from "../lib/streamedAnswer.ts"
import { type ReloadedGateway, reloadedSettings as settings, startReloadedGateway } from "../lib/reloadedGateway.ts"

/** Streams that the first pod has begun and waits to be told to end. */
const begun: Array<PodConnection> = []
let first: RawPod
let second: RawPod

beforeAll(() => {
  first = startScriptedPod((_request, connection) => {
    connection.send(streamHead + event("one"))
    begun.push(connection)
  })
  second = startScriptedPod((_request, connection) => connection.send(streamHead + event("second") + streamEnd))
})

afterAll(() => {
  first.stop()
  second.stop()
})

const reload = async (gateway: ReloadedGateway) => {
  const response = await fetch(`${gateway.handle.adminUrl}${reloadPath}`, { method: "POST" })
  return { status: response.status, body: await response.json() as unknown }
}

const reloads = (gateway: ReloadedGateway, outcome: string): Promise<number | undefined> =>
  gateway.metric("warmroute_config_reloads_total", { outcome })

const policyOf = async (gateway: ReloadedGateway): Promise<unknown> => {
  const body = JSON.stringify({ model: "tiny", messages: [{ role: "user", content: "x" }] })
  const response = await fetch(`${gateway.handle.adminUrl}${explainPath}`, { method: "POST", body })
  return (await response.json() as { policy: unknown }).policy
}

test("streams run on through a reload byte for byte, and the pod that was removed drains", async () => {
  const gateway = await startReloadedGateway({ pods: [first.url] })
  await gateway.healthyPods(1)
  const streaming = Array.from({ length: 5 }, () => streamCompletion(gateway.url, "hello"))
  await eventually("five streams have begun", () => begun.length === 5)

  gateway.file.write(settings({ pods: [second.url], policy: "random", limits: { silenceTimeout: "1 minute" } }))
  expect(await reload(gateway)).toEqual({
    status: 200,
    body: {
      outcome: "applied",
      warnings: [],
      changes: [
        { setting: `pods["${first.url}"]`, kind: "removed", from: null, to: null, takesEffect: "now" },
        { setting: `pods["${second.url}"]`, kind: "added", from: null, to: null, takesEffect: "now" },
        { setting: "policy.type", kind: "changed", from: "marginal-cost", to: "random", takesEffect: "now" },
        { setting: "limits.silenceTimeout", kind: "changed", from: "5 minutes", to: "1 minute", takesEffect: "now" }
      ]
    }
  })
  const healthOf = (url: string) =>
    gateway.handle.poolView.pods().find(({ address }) => url.endsWith(address.id))?.health
  await eventually("the new pod is healthy", () => healthOf(second.url) === "healthy")
  await eventually("the old one drains or is gone", () => healthOf(first.url) !== "healthy")
  for (let i = 0; i < 5; i++) expect(textOf(await streamCompletion(gateway.url, "hello"))).toBe("data: second\n\n")
  expect(begun.length).toBe(5)

  for (const connection of begun.splice(0)) connection.send(event("two") + streamEnd)
  for (const answer of await Promise.all(streaming)) {
    expect(textOf(answer)).toBe("data: one\n\ndata: two\n\n")
    expect(answer.complete).toBe(true)
  }
  await gateway.becomesIdle()
  await gateway.stop()
})

test("a bad file changes nothing, and the answer says where it is wrong", async () => {
  const gateway = await startReloadedGateway({ pods: [second.url], policy: "random" })
  await gateway.healthyPods(1)
  for (
    const [text, why] of [
      ["pods: [ {", "is not YAML"],
      ["\n", "is empty. Write {} for a configuration of defaults."],
      ["policy: rondom", ":1:1: policy: there is no policy \"rondom\""],
      ["scrape:\n  intervall: 1 s\n", ":2:3: scrape.intervall is not a setting. Did you mean scrape.interval?"]
    ] as const
  ) {
    gateway.file.writeText(text)
    const { body, status } = await reload(gateway)
    const { error } = body as { error: { code: string; message: string } }
    expect([status, error.code]).toEqual([400, "bad_configuration"])
    expect(error.message).toContain(gateway.file.path)
    expect(error.message).toContain(why)
  }
  expect(await policyOf(gateway)).toBe("random")
  expect(textOf(await streamCompletion(gateway.url, "hello"))).toBe("data: second\n\n")
  expect(await reloads(gateway, "refused")).toBe(4)
  gateway.file.write(settings({ pods: [second.url], policy: "random" }))
  expect((await reload(gateway)).body).toEqual({ outcome: "unchanged", warnings: [], changes: [] })
  await gateway.stop()
})

test("another policy places the next request, new aliases and headers are those of the next answer", async () => {
  const gateway = await startReloadedGateway({ pods: [second.url] })
  await gateway.healthyPods(1)
  expect(await policyOf(gateway)).toBe("marginal-cost")
  gateway.file.write(settings({
    pods: [second.url],
    policy: "least-requests",
    models: { aliases: { nickname: "tiny" } },
    answers: { podHeader: false }
  }))
  expect((await reload(gateway)).status).toBe(200)
  expect(await policyOf(gateway)).toBe("least-requests")
  const models = await (await fetch(`${gateway.url}/v1/models`)).text()
  expect(models).toContain("nickname")
  const answer = await fetch(`${gateway.url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "nickname", prompt: "x", stream: true })
  })
  expect([answer.status, answer.headers.get("x-warmroute-pod")]).toEqual([200, null])
  await gateway.stop()
})

test("what can't change now is named and stays as it was, also after a further reload", async () => {
  const gateway = await startReloadedGateway({ pods: [second.url] })
  gateway.file.write(
    settings({ pods: [second.url], limits: { podsMax: 7 }, listen: { hostname: "127.0.0.1", port: 1 } })
  )
  const late = [
    { setting: "listen.port", kind: "changed", from: "0", to: "1", takesEffect: "after a restart" },
    { setting: "limits.podsMax", kind: "changed", from: "1024", to: "7", takesEffect: "after a restart" }
  ]
  for (let i = 0; i < 2; i++) expect((await reload(gateway)).body).toMatchObject({ outcome: "applied", changes: late })
  expect(gateway.handle.config().limits.podsMax).toBe(1024)
  await gateway.stop()
})

test("a file that is replaced is taken without being asked to, and a bad one is refused once", async () => {
  const gateway = await startReloadedGateway({ pods: [second.url], reload: { poll: "50 millis" } })
  const next = { pods: [second.url], reload: { poll: "50 millis" }, limits: { retriesMax: 7 } }
  gateway.file.writeText("limits: { retriesMax: many }")
  await eventually("it is refused", async () => await reloads(gateway, "refused") === 1)
  gateway.file.write(settings(next))
  await eventually("it is taken", () => gateway.handle.config().limits.retriesMax === 7)
  // Several looks at the same file have passed by now.
  await eventually("it was counted", async () => await reloads(gateway, "applied") === 1)
  expect(await reloads(gateway, "refused")).toBe(1)
  await gateway.stop()
})

test("reloads that are asked for together come one after the other", async () => {
  const gateway = await startReloadedGateway({ pods: [second.url] })
  gateway.file.write(settings({ pods: [second.url], limits: { retriesMax: 5 } }))
  const outcomes = await Promise.all(Array.from({ length: 4 }, () => gateway.handle.reload()))
  expect(outcomes.map(({ outcome }) => outcome)).toEqual(["applied", "unchanged", "unchanged", "unchanged"])
  await gateway.stop()
})

test("a reload that lets everybody in warns of it, once", async () => {
  const told = spyOn(console, "error").mockImplementation(() => {})
  const warnings = () => told.mock.calls.flat().filter((line) => String(line).includes("asks for no API keys"))
  const open = { pods: [second.url], listen: { hostname: "0.0.0.0", port: 0 }, log: { level: "warning" } }
  const gateway = await startReloadedGateway({ ...open, auth: { keys: [{ name: "a", hash: keyHash(newKey()) }] } })
  try {
    expect(warnings()).toEqual([])
    await gateway.change(open)
    expect(warnings()).toHaveLength(1)
    await gateway.change({ ...open, policy: "random" })
    expect(warnings()).toHaveLength(1)
  } finally {
    await gateway.stop()
    told.mockRestore()
  }
})
