import { afterEach, describe, expect, spyOn, test } from "bun:test"
import { existsSync, readFileSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { Scheduler } from "../../src/core/Scheduler.ts"
import { explainPath } from "../../src/http/adminRoutes.ts"
import { eventually } from "../lib/eventually.ts"
import type { PodConnection, RawPod, SeenRequest } from "../lib/rawPod.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { type ReloadedGateway, startReloadedGateway } from "../lib/reloadedGateway.ts"
import { event, streamEnd, streamHead } from "../lib/streamedAnswer.ts"

/** What a test has started, the latest last. */
const running: Array<{ readonly stop: () => unknown }> = []

afterEach(async () => {
  for (const { stop } of running.splice(0).toReversed()) await stop()
})

const kept = <A extends { readonly stop: () => unknown }>(started: A): A => {
  running.push(started)
  return started
}

const answering = (): RawPod =>
  kept(startScriptedPod((_request, connection) => connection.send(streamHead + event("hello") + streamEnd)))

/** A pod that says nothing to requests until the test does. */
const silent = () => {
  const open: Array<PodConnection> = []
  const pod = kept(startScriptedPod((_request, connection) => void open.push(connection)))
  const answerAll = (): void => {
    for (const connection of open.splice(0)) connection.send(streamHead + event("late") + streamEnd)
  }
  return { pod, open, answerAll }
}

const started = async (pod: RawPod, values: Readonly<Record<string, unknown>> = {}) => {
  const base = { pods: [pod.url] }
  const gateway = kept(await startReloadedGateway({ ...base, ...values }))
  await gateway.healthyPods(1)
  return { gateway, change: (values: Readonly<Record<string, unknown>>) => gateway.change({ ...base, ...values }) }
}

const complete = ({ url }: ReloadedGateway, prompt = "x", headers: Readonly<Record<string, string>> = {}) =>
  fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: "tiny", prompt, max_tokens: 8, stream: true })
  })

/** The status, once the whole answer is there. */
const statusOf = async (gateway: ReloadedGateway, prompt?: string, headers?: Readonly<Record<string, string>>) => {
  const response = await complete(gateway, prompt, headers)
  await response.text()
  return response.status
}

/** What the gateway logs from now on, in place of the test's own output. */
const loggedLines = (): ReadonlyArray<string> => {
  const lines: Array<string> = []
  const spy = spyOn(console, "error").mockImplementation((...words) => void lines.push(words.join(" ")))
  running.push({ stop: () => spy.mockRestore() })
  return lines
}

const keyOf = (name: string, key: string) => ({
  name,
  hash: `sha256:${new Bun.CryptoHasher("sha256").update(key).digest("hex")}`
})

describe("a changed bound holds for the next request", () => {
  test("of open requests, up and down, and those that are open go on", async () => {
    const { answerAll, open, pod } = silent()
    const { change, gateway } = await started(pod)
    const first = complete(gateway)
    await eventually("one is open", () => open.length === 1)
    await change({ limits: { openRequestsMax: 1 } })
    expect(await statusOf(gateway)).toBe(429)
    await change({ limits: { openRequestsMax: 40_000 } })
    const second = complete(gateway)
    await eventually("two are open", () => open.length === 2)
    answerAll()
    for (const response of await Promise.all([first, second])) expect(await response.text()).toContain("late")
    await gateway.becomesIdle()
  })

  test("of bodies, beyond twice that of the start too", async () => {
    const { change, gateway } = await started(answering(), { limits: { bodyBytesMax: 1000 } })
    const prompt = "y".repeat(5000)
    expect(await statusOf(gateway, prompt)).toBe(413)
    await change({ limits: { bodyBytesMax: 10_000 } })
    expect(await statusOf(gateway, prompt)).toBe(200)
    await change({ limits: { bodyBytesMax: 100 } })
    expect(await statusOf(gateway, prompt)).toBe(413)
  })

  test("of all bodies together", async () => {
    const { change, gateway } = await started(answering())
    await change({ limits: { requestBytesMax: 1000 } })
    expect(await statusOf(gateway, "y".repeat(5000))).toBe(429)
    await change({ limits: { requestBytesMax: 10_000 } })
    expect(await statusOf(gateway, "y".repeat(5000))).toBe(200)
  })

  test("of a key's open requests", async () => {
    const { answerAll, open, pod } = silent()
    const auth = { keys: [keyOf("ci", "secret")] }
    const { change, gateway } = await started(pod, { auth })
    const headers = { authorization: "Bearer secret" }
    const first = complete(gateway, "x", headers)
    await eventually("one is open", () => open.length === 1)
    await change({ auth, limits: { openRequestsPerKeyMax: 1 } })
    expect(await statusOf(gateway, "x", headers)).toBe(429)
    answerAll()
    await (await first).text()
  })

  test("of the time that the scheduler has for a pick", async () => {
    const base = { waiting: { enabled: false } }
    const { change, gateway } = await started(answering(), { ...base, limits: { askDeadline: "20 s" } })
    const broken = spyOn(Scheduler.prototype, "explain").mockImplementation(() => {
      throw new Error("a defect of the test's")
    })
    running.push({ stop: () => broken.mockRestore() })
    const explain = () =>
      fetch(`${gateway.handle.adminUrl}${explainPath}`, {
        method: "POST",
        body: JSON.stringify({ model: "tiny", prompt: "x" })
      })
    const told = async () => {
      await explain()
      return await (await complete(gateway)).text()
    }
    // Each of these meets the scheduler's actor as it waits to be restarted, the last for a quarter of a second.
    for (let crashes = 0; crashes < 4; crashes++) expect(await told()).toContain("hello")
    await change({ ...base, limits: { askDeadline: "1 ms" } })
    const later = []
    for (let crashes = 4; crashes < 10; crashes++) later.push(await told())
    expect(later.join()).toContain("did not answer within 1 ms (limits.askDeadline)")
  })

  test("of the time that a client may be idle", async () => {
    const { change, gateway } = await started(answering())
    await change({ limits: { clientIdleTimeout: "1 s" } })
    const socket = connect(gateway.port, "127.0.0.1")
    const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()))
    socket.resume().write("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
    // The gateway closes it after seconds, where it would have taken more than a minute.
    await closed
  }, 30_000)

  test("of a pod's page of metrics", async () => {
    const lines = loggedLines()
    const { change } = await started(answering())
    await change({ scrape: { interval: "50 millis", pageBytesMax: 100 }, log: { level: "warning" } })
    await eventually("the log says so", () => lines.join("\n").includes("the answer is longer than 100 bytes"))
  })

  test("of models that are known", async () => {
    const { change, gateway } = await started(answering())
    await change({ limits: { modelsMax: 1 }, models: { initialOutputTokens: 77 } })
    const response = await fetch(`${gateway.handle.adminUrl}${explainPath}`, {
      method: "POST",
      body: JSON.stringify({ model: "tiny", messages: [{ role: "user", content: "x" }] })
    })
    expect(await response.json()).toMatchObject({ expectedOutputTokens: 77, model: "tiny" })
  })
})

describe("waiting", () => {
  /** Slow enough for one prompt to fill a pod's queue. */
  const hardware = { preset: "small", prefillTokenS: 1 }
  const long = "word ".repeat(100)

  /** A gateway with one request at the pod and one that waits. */
  const withOneWaiting = async () => {
    const { answerAll, open, pod } = silent()
    const { change, gateway } = await started(pod, { hardware })
    const first = complete(gateway, long)
    await eventually("one is at the pod", () => open.length === 1)
    const second = complete(gateway, long)
    await eventually("one waits", async () => await gateway.metric("warmroute_waiting_requests") === 1)
    return {
      gateway,
      open,
      change: (waiting: Readonly<Record<string, unknown>>) => change({ hardware, waiting }),
      finish: async () => {
        answerAll()
        await (await first).text()
        await eventually("the second is at the pod", () => open.length === 1)
        answerAll()
        expect(await (await second).text()).toContain("late")
        await gateway.becomesIdle()
      }
    }
  }

  test("of fewer requests refuses the next, and who waits stays", async () => {
    const { change, finish, gateway } = await withOneWaiting()
    await change({ requestsMax: 1 })
    expect(await statusOf(gateway)).toBe(429)
    expect(await gateway.metric("warmroute_waiting_requests")).toBe(1)
    await finish()
  })

  test("for a shorter time ends the wait of the next, and who waits stays", async () => {
    const { change, finish, gateway } = await withOneWaiting()
    await change({ timeout: "50 millis" })
    expect(await statusOf(gateway)).toBe(429)
    await change({ bands: [{ priority: 0, timeout: "60 millis" }] })
    expect(await statusOf(gateway)).toBe(429)
    await finish()
  })

  test("for a longer queue of the pods, or for none, sends off who waits", async () => {
    for (const waiting of [{ podQueueMax: "1 hour" }, { enabled: false }]) {
      const { change, gateway, open } = await withOneWaiting()
      await change(waiting)
      await eventually("both are at the pod", () => open.length === 2)
      expect(await gateway.metric("warmroute_waiting_requests")).toBe(0)
      const third = complete(gateway)
      await eventually("and the third", () => open.length === 3)
      for (const connection of open.splice(0)) connection.send(streamHead + event("late") + streamEnd)
      await (await third).text()
    }
  })
})

test("a breaker opens after as many failures as are asked for now, and its pod is left alone for the new time", async () => {
  const seen: Array<SeenRequest> = []
  const pod = kept(startScriptedPod((request, connection) => {
    seen.push(request)
    connection.end()
  }))
  const patient = { failuresInRow: 1000, requestsMin: 1000 }
  // Failed requests don't make the pod unhealthy, so only its breaker can keep requests away.
  const others = { scrape: { interval: "50 millis", failuresBeforeUnhealthy: 1000 }, waiting: { enabled: false } }
  const { change, gateway } = await started(pod, { breaker: patient, ...others })
  for (let i = 0; i < 8; i++) expect(await statusOf(gateway)).toBeGreaterThanOrEqual(500)
  const before = seen.length
  expect(before).toBeGreaterThanOrEqual(8)
  await change({ breaker: { failuresInRow: 1, openMin: "1 hour", openMax: "1 hour" }, ...others })
  for (let i = 0; i < 5; i++) expect(await statusOf(gateway)).toBeGreaterThanOrEqual(500)
  expect(seen.length).toBe(before + 1)
})

describe("the doors", () => {
  test("close and open while a stream runs on", async () => {
    const { answerAll, open, pod } = silent()
    const { change, gateway } = await started(pod)
    const streaming = complete(gateway)
    await eventually("it is at the pod", () => open.length === 1)
    const auth = { keys: [keyOf("ci", "secret")] }
    const ask = async (path: string, headers: Readonly<Record<string, string>> = {}) =>
      (await fetch(`${gateway.url}${path}`, { headers })).status
    expect([await ask("/v1/models"), await ask("/metrics")]).toEqual([200, 200])
    expect(await change({ auth })).toEqual(["auth.keys.ci now"])
    expect([await ask("/v1/models"), await ask("/version"), await ask("/metrics")]).toEqual([401, 401, 404])
    expect(await statusOf(gateway)).toBe(401)
    expect(await ask("/v1/models", { authorization: "Bearer secret" })).toBe(200)
    expect(await gateway.metric("warmroute_unauthorized_total", { reason: "missing_api_key" })).toBe(3)
    answerAll()
    expect(await (await streaming).text()).toContain("late")
    expect(await change({ listen: { hostname: "127.0.0.1", port: 0, metrics: "never" } })).toContain("auth.keys.ci now")
    expect([await ask("/v1/models"), await ask("/metrics")]).toEqual([200, 404])
  })

  test("pass a client's own credentials on to pods only while the gateway has no use for them", async () => {
    const seen: Array<string | undefined> = []
    const pod = kept(startScriptedPod((request, connection) => {
      seen.push(request.headers.find(([name]) => name.toLowerCase() === "authorization")?.[1])
      connection.send(streamHead + event("hello") + streamEnd)
    }))
    const { change, gateway } = await started(pod)
    const headers = { authorization: "Bearer secret" }
    await statusOf(gateway, "x", headers)
    await change({ auth: { keys: [keyOf("ci", "secret")] } })
    await statusOf(gateway, "x", headers)
    await change({})
    await statusOf(gateway, "x", headers)
    expect(seen).toEqual(["Bearer secret", undefined, "Bearer secret"])
  })

  test("don't begin to speak TLS, which is said, and everything else is taken", async () => {
    const { change, gateway } = await started(answering(), {})
    const tls = { certPath: "/nowhere/cert.pem", keyPath: "/nowhere/key.pem" }
    const listen = { hostname: "127.0.0.1", port: 0, tls }
    for (let i = 0; i < 2; i++) {
      expect(await change({ listen, limits: { bodyBytesMax: 100 + i } })).toEqual([
        "listen.tls.certPath after a restart",
        "listen.tls.keyPath after a restart",
        "limits.bodyBytesMax now"
      ])
    }
    expect(await statusOf(gateway, "y".repeat(500))).toBe(413)
  })
})

describe("what is written", () => {
  test("is logged from the new level on", async () => {
    const lines = loggedLines()
    const { change } = await started(answering())
    await change({ limits: { retriesMax: 3 } })
    expect(lines).toEqual([])
    await change({ limits: { retriesMax: 4 }, log: { level: "info", format: "json" } })
    expect(lines.join("\n")).toContain("limits.retriesMax: 3 -> 4")
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ logLevel: "INFO" })
    await change({ limits: { retriesMax: 5 }, log: { level: "warning" } })
    expect(lines.join("\n")).not.toContain("4 -> 5")
  })

  test("is a sample of decisions, from a share above none on", async () => {
    const { change, gateway } = await started(answering())
    const path = join(gateway.file.path, "..", "decisions.jsonl")
    await statusOf(gateway)
    await change({ decisionLog: { sampleRate: 1, path } })
    await statusOf(gateway)
    await eventually("a decision is logged", () => existsSync(path))
    expect(readFileSync(path, "utf8").trim().split("\n").length).toBe(1)
    const other = join(gateway.file.path, "..", "others.jsonl")
    await statusOf(gateway)
    await change({ decisionLog: { sampleRate: 1, path: other } })
    expect(readFileSync(path, "utf8").trim().split("\n").length).toBe(2)
    await statusOf(gateway)
    await change({ decisionLog: { path: other } })
    await statusOf(gateway)
    expect(readFileSync(other, "utf8").trim().split("\n").length).toBe(1)
  })

  test("is a snapshot as often as is asked for now", async () => {
    const { change, gateway } = await started(answering(), {
      snapshot: { path: "snapshot.sqlite", interval: "1 hour" }
    })
    expect(await gateway.metric("warmroute_snapshot_saves_total")).toBe(0)
    await change({ snapshot: { path: "snapshot.sqlite", interval: "20 millis" } })
    await eventually("it is saved", async () => (await gateway.metric("warmroute_snapshot_saves_total") ?? 0) > 0)
  })
})
