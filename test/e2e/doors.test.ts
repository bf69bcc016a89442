import { afterAll, beforeAll, describe, expect, spyOn, test } from "bun:test"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { keyHash, newKey } from "../../src/http/doors/clientKey.ts"
import { otherPair } from "../http/doors/otherPair.ts"
import { rawExchange, statuses } from "../http/doors/rawClient.ts"
import { tlsPair } from "../http/tlsPair.ts"
import { eventually } from "../lib/eventually.ts"
import { emulatedModel, startTestFleet, type TestFleet } from "../lib/testFleet.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"
import { startGuardedPod } from "./guardedPod.ts"

let fleet: TestFleet
let directory: string
beforeAll(async () => {
  fleet = await startTestFleet(1)
  directory = await mkdtemp(join(tmpdir(), "warmroute-doors-"))
})
afterAll(async () => {
  await fleet.stop()
  await rm(directory, { recursive: true })
})

const withGateway = async (
  config: Readonly<Record<string, unknown>>,
  use: (gateway: TestGateway) => Promise<void>,
  pods = fleet.urls
) => {
  const gateway = await startTestGateway({ pods, config: { limits: { secretsPoll: "50 millis" }, ...config } })
  try {
    await gateway.healthyPods(pods.length)
    await use(gateway)
  } finally {
    await gateway.stop()
  }
}

const ask = (url: string, headers: Record<string, string>, body: object = {}, path = "/v1/chat/completions") =>
  fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({
      model: emulatedModel,
      max_tokens: 4,
      messages: [{ role: "user", content: "hello" }],
      ...body
    })
  })

const bearing = (key: string) => ({ authorization: `Bearer ${key}` })
const adminUrl = ({ handle }: TestGateway): string => handle.adminUrl ?? ""

describe("a gateway with keys", () => {
  const key = newKey()
  const narrow = newKey()
  const auth = {
    keys: [
      { name: "team-a", hash: keyHash(key) },
      { name: "team-b", hash: keyHash(narrow), models: ["other-model"], requestsPerMinute: 2 }
    ]
  }

  test("serves who brings one, in either header, and nobody else, in the shape of the route's SDK", () =>
    withGateway({ auth }, async (gateway) => {
      expect((await ask(gateway.url, bearing(key))).status).toBe(200)
      expect((await ask(gateway.url, { "x-api-key": key }, {}, "/v1/messages")).status).toBe(200)
      const missing = await ask(gateway.url, {})
      expect([missing.status, missing.headers.get("www-authenticate")]).toEqual([401, "Bearer"])
      expect(await missing.json()).toMatchObject({ error: { type: "authentication_error", code: "missing_api_key" } })
      const wrong = await ask(gateway.url, { "x-api-key": newKey() }, {}, "/v1/messages")
      expect(await wrong.json()).toMatchObject({
        type: "error",
        error: { type: "authentication_error", code: "invalid_api_key" }
      })
    }))

  test("keeps a key to its models and its rate, with the time to wait", () =>
    withGateway({ auth }, async (gateway) => {
      const forbidden = await ask(gateway.url, bearing(narrow))
      expect(forbidden.status).toBe(403)
      expect(await forbidden.json()).toMatchObject({ error: { code: "model_not_allowed", param: "model" } })
      await ask(gateway.url, bearing(narrow))
      const limited = await ask(gateway.url, bearing(narrow))
      expect(limited.status).toBe(429)
      expect(Number(limited.headers.get("retry-after"))).toBeGreaterThan(0)
      expect(await limited.json()).toMatchObject({ error: { code: "requests_per_minute_exceeded" } })
      const models = async (headers: Record<string, string>) =>
        (await (await fetch(`${gateway.url}/v1/models`, { headers })).json() as { data: Array<unknown> }).data.length
      expect([await models(bearing(key)), await models(bearing(narrow))]).toEqual([1, 0])
    }))

  test("shows strangers nothing, and operators everything but keys", () =>
    withGateway({ auth }, async (gateway) => {
      const status = async (path: string) => (await fetch(gateway.url + path)).status
      expect(await Promise.all(["/livez", "/readyz", "/health"].map(status))).toEqual([200, 200, 200])
      expect(await Promise.all(["/v1/models", "/version", "/metrics"].map(status))).toEqual([401, 401, 404])
      await (await ask(gateway.url, bearing(key))).bytes()
      await gateway.becomesIdle()
      const page = await (await fetch(`${adminUrl(gateway)}/metrics`)).text()
      expect(page).toContain(`warmroute_key_requests_total{key="team-a"} 1`)
      expect(page).toMatch(/warmroute_key_tokens_total\{key="team-a"\} [1-9]/)
      expect(page).toContain(`warmroute_key_open_requests{key="team-a"} 0`)
      expect(page).toContain(`warmroute_unauthorized_total{reason="missing_api_key"} 2`)
      expect(page).not.toContain(key)
      expect(page).not.toContain(keyHash(key).slice("sha256:".length))
    }))

  test("shows its metrics to clients when it is told to, and without keys by default", async () => {
    const status = async ({ url }: TestGateway) => (await fetch(`${url}/metrics`)).status
    const listen = { hostname: "127.0.0.1", port: 0 }
    await withGateway(
      { auth, listen: { ...listen, metrics: "always" } },
      async (gateway) => expect(await status(gateway)).toBe(200)
    )
    await withGateway({}, async (gateway) => expect(await status(gateway)).toBe(200))
    await withGateway({ listen: { ...listen, metrics: "never" } }, async (gateway) => {
      expect(await status(gateway)).toBe(404)
      expect((await fetch(`${adminUrl(gateway)}/metrics`)).status).toBe(200)
    })
  })

  test("follows the file of keys; a bad one is told and changes nothing", async () => {
    const keysPath = join(directory, "keys.yaml")
    const entry = (name: string, key: string) => `- name: ${name}\n  hash: ${keyHash(key)}\n`
    await writeFile(keysPath, entry("filed", key))
    const told = spyOn(console, "error").mockImplementation(() => {})
    await withGateway({ auth: { keysPath }, log: { level: "warning" } }, async (gateway) => {
      const works = async (key: string) => (await ask(gateway.url, bearing(key))).status === 200
      expect([await works(key), await works(narrow)]).toEqual([true, false])
      await writeFile(keysPath, entry("filed", narrow))
      await eventually("the new key works", () => works(narrow))
      expect(await works(key)).toBe(false)
      await writeFile(keysPath, `- name: filed\n  hash: ${key}\n`)
      await eventually(
        "a warning",
        () => told.mock.calls.flat().some((line) => String(line).includes(`${keysPath}:2:3: [0].hash`))
      )
      expect([await works(key), await works(narrow)]).toEqual([false, true])
      // Some more looks at the same fault.
      await Bun.sleep(200)
      expect(told.mock.calls.flat().filter((line) => String(line).includes(keysPath))).toHaveLength(1)
    }).finally(() => told.mockRestore())
  })

  test("a file of keys that can't be read stops the start, and what is in it is not repeated", async () => {
    const keysPath = join(directory, "wrong.yaml")
    await writeFile(keysPath, `- name: a\n  hash: ${key}\n`)
    const failed = await startTestGateway({ pods: fleet.urls, config: { auth: { keysPath } } }).catch(String)
    expect(failed).toContain(`${keysPath}:2:3: [0].hash is not "sha256:"`)
    expect(failed).not.toContain(key)
    const missing = await startTestGateway({ config: { auth: { keysPath: "/nowhere/k" } } }).catch(String)
    expect(missing).toContain("auth.keysPath: /nowhere/k does not exist")
  })
})

test("the operators' port takes one Host, and none from HTTP/1.0", () =>
  withGateway({}, async (gateway) => {
    const port = Number(new URL(adminUrl(gateway)).port)
    const asked = async (head: string) => statuses(await rawExchange(port, `${head}\r\nConnection: close\r\n\r\n`))
    expect(await asked("GET /readyz HTTP/1.1\r\nHost: a\r\nHost: b")).toEqual([400])
    expect(await asked("GET /readyz HTTP/1.1\r\nHost: a")).toEqual([200])
    expect(await asked("GET /readyz HTTP/1.0")).toEqual([200])
  }))

describe("towards pods", () => {
  test("a token, an authority and a certificate open a guarded pod, for probes and requests, and a new token is followed", async () => {
    const [podUrl = ""] = fleet.urls
    const pod = startGuardedPod(podUrl, otherPair.cert, "first-token")
    const file = async (name: string, text: string) => {
      await writeFile(join(directory, name), text)
      return join(directory, name)
    }
    const tokenPath = await file("token", "first-token\n")
    const clientKey = newKey()
    const config = {
      auth: { keys: [{ name: "a", hash: keyHash(clientKey) }] },
      podAccess: {
        tokenPath,
        caPath: await file("ca.pem", tlsPair.cert),
        certPath: await file("cert.pem", otherPair.cert),
        keyPath: await file("key.pem", otherPair.key)
      }
    }
    await withGateway(config, async (gateway) => {
      expect((await ask(gateway.url, { ...bearing(clientKey), "x-api-key": clientKey })).status).toBe(200)
      for (const headers of pod.seen) expect(JSON.stringify(headers.toJSON())).not.toContain(clientKey)
      pod.takes("second-token")
      await writeFile(tokenPath, "second-token")
      while ((await ask(gateway.url, bearing(clientKey))).status !== 200) await Bun.sleep(5)
      await gateway.healthyPods(1)
    }, [pod.url])
    pod.stop()
  })

  test("without what a guarded pod asks for it stays unhealthy, and the reason is told", async () => {
    const [podUrl = ""] = fleet.urls
    const pod = startGuardedPod(podUrl, otherPair.cert, "token")
    const gateway = await startTestGateway({ pods: [pod.url] })
    await eventually("an unhealthy pod", () => gateway.handle.poolView.pods()[0]?.health === "unhealthy")
    await gateway.stop()
    pod.stop()
  })

  test("a client's own credentials end at a gateway that shows its pods a token, though it asks for no keys", async () => {
    const seen: Array<ReadonlyArray<string | null>> = []
    const [podUrl = ""] = fleet.urls
    const pod = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async ({ body, headers, method, url }) => {
        seen.push([headers.get("authorization"), headers.get("x-api-key")])
        return fetch(podUrl + new URL(url).pathname, { method, headers, body })
      }
    })
    const tokenPath = join(directory, "only-token")
    await writeFile(tokenPath, "of-the-gateway")
    await withGateway({ podAccess: { tokenPath } }, async (gateway) => {
      expect((await ask(gateway.url, { ...bearing("clients-own"), "x-api-key": "clients-own" })).status).toBe(200)
    }, [pod.url.origin])
    await pod.stop(true)
    expect(new Set(seen.map(String))).toEqual(new Set(["Bearer of-the-gateway,"]))
  })

  test("a client's own credentials pass through a gateway that has none of its own", async () => {
    const seen: Array<string | null> = []
    const [podUrl = ""] = fleet.urls
    const pod = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        if (request.method === "POST") seen.push(request.headers.get("authorization"))
        const { pathname } = new URL(request.url)
        const body = request.method === "POST" ? await request.bytes() : null
        return fetch(podUrl + pathname, { method: request.method, headers: request.headers, body })
      }
    })
    await withGateway({}, async (gateway) => {
      expect((await ask(gateway.url, bearing("vllm-key"))).status).toBe(200)
    }, [pod.url.origin])
    expect(seen).toEqual(["Bearer vllm-key"])
    await pod.stop(true)
  })
})

test("a certificate and a key that don't belong together are told and change nothing", async () => {
  const certPath = join(directory, "kept.pem")
  const keyPath = join(directory, "kept-key.pem")
  await writeFile(certPath, tlsPair.cert)
  await writeFile(keyPath, tlsPair.key)
  const listen = { hostname: "127.0.0.1", port: 0, tls: { certPath, keyPath } }
  const told = spyOn(console, "error").mockImplementation(() => {})
  await withGateway({ listen, log: { level: "warning" } }, async (gateway) => {
    await writeFile(keyPath, otherPair.key)
    const why = `listen.tls.keyPath: ${keyPath} does not belong to the certificate ${certPath}`
    await eventually(
      "a warning",
      () =>
        told.mock.calls.flat().some((line) =>
          String(line).includes(`${why}; replace both files together; what was read`)
        )
    )
    const answer = await fetch(`${adminUrl(gateway)}/warmroute/reload`, { method: "POST" })
    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining(why)])
    const init = { tls: { ca: tlsPair.cert }, keepalive: false } as RequestInit
    expect((await fetch(`${gateway.url}/livez`, init)).status).toBe(200)
  }).finally(() => told.mockRestore())
})

test("clients come by TLS, and a changed certificate is taken up while a stream goes on", async () => {
  const certPath = join(directory, "front.pem")
  const keyPath = join(directory, "front-key.pem")
  await writeFile(certPath, tlsPair.cert)
  await writeFile(keyPath, tlsPair.key)
  const listen = { hostname: "127.0.0.1", port: 0, tls: { certPath, keyPath } }
  await withGateway({ listen }, async (gateway) => {
    const livez = (cert: string) =>
      fetch(`${gateway.url}/livez`, { tls: { ca: cert }, keepalive: false } as RequestInit).then(
        ({ status }) => status,
        () => 0
      )
    const init = { tls: { ca: tlsPair.cert } } as RequestInit
    const streaming = await fetch(`${gateway.url}/v1/completions`, {
      ...init,
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: emulatedModel, prompt: "p", max_tokens: 400, ignore_eos: true, stream: true })
    })
    const text = streaming.text()
    expect([await livez(tlsPair.cert), await livez(otherPair.cert)]).toEqual([200, 0])
    await writeFile(certPath, otherPair.cert)
    await writeFile(keyPath, otherPair.key)
    while ((await livez(otherPair.cert)) !== 200) await Bun.sleep(5)
    expect((await text).trimEnd()).toEndWith("data: [DONE]")
  })
})
