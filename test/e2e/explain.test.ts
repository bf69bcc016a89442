import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Explained } from "../../src/cli/explanationText.ts"
import { warmroute } from "../lib/commandLine.ts"
import { rejectionOf } from "../lib/rejectionOf.ts"
import { emulatedModel, startTestFleet, type TestFleet } from "../lib/testFleet.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"

const explainPath = "/warmroute/explain"
const chatPath = "/v1/chat/completions"
const chat = (content: string) => ({ model: emulatedModel, max_tokens: 3, messages: [{ role: "user", content }] })

let fleet: TestFleet
let gateway: TestGateway
let admin = ""

beforeAll(async () => {
  fleet = await startTestFleet(3)
  gateway = await startTestGateway({ pods: [...fleet.urls, "http://127.0.0.1:1"] })
  await gateway.healthyPods(3)
  admin = gateway.handle.adminUrl ?? ""
})

afterAll(async () => {
  await gateway.stop()
  await fleet.stop()
})

const post = (url: string, body: unknown): Promise<Response> =>
  fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body)
  })

const explained = async (url: string, body: unknown): Promise<Explained> =>
  await (await post(url, body)).json() as Explained

describe("POST /warmroute/explain", () => {
  test("names the pod that the request then goes to, with its hits, and reserves nothing", async () => {
    const body = chat("A long conversation about the same thing. ".repeat(200))
    await (await post(gateway.url + chatPath, body)).text()
    await gateway.becomesIdle()
    const told = await explained(admin + explainPath, body)
    expect(gateway.handle.openRequests()).toBe(0)
    const response = await post(gateway.url + chatPath, body)
    await response.text()
    expect(told.picked).toBe(response.headers.get("x-warmroute-pod"))
    expect(told.why).toBe("it has most hits and no other pod is cheaper")
    const picked = told.pods.find(({ id }) => id === told.picked)
    expect(picked?.hitTokens).toBeGreaterThan(told.promptTokens / 2)
    expect(picked?.values["costS"]).toBeLessThan(Math.max(...told.pods.map(({ values }) => values["costS"] ?? 0)))
  })

  test("says in words why a pod is out of the question", async () => {
    const told = await explained(admin + explainPath, chat("x"))
    const out = told.pods.filter(({ excluded }) => excluded !== null)
    expect(out.map(({ id }) => id)).toEqual(["127.0.0.1:1"])
    expect(out[0]?.excluded).toMatch(/^(starting|unhealthy)/)
    const unknown = await explained(admin + explainPath, { ...chat("x"), model: "nope" })
    // The dead pod may serve it: it was never heard of.
    expect([unknown.picked, unknown.why]).toEqual([null, "no pod that serves this model takes requests now"])
  })

  test("takes a route's path beside the body, inside an envelope or as a query", async () => {
    const body = { model: emulatedModel, prompt: "one two three", max_tokens: 2 }
    const enveloped = await explained(admin + explainPath, { path: "/v1/completions", body })
    const queried = await explained(`${admin}${explainPath}?path=/v1/completions`, body)
    expect([enveloped.promptTokens, enveloped.expectedOutputTokens]).toEqual([queried.promptTokens, 2])
  })

  test.each([
    ["{", "the body is not JSON"],
    [{ path: "/v1/nope", body: {} }, "can't explain a request to /v1/nope; it must be to one of /v1/chat/completions"],
    [{ path: 1, body: {} }, "path must be a string"],
    [{ body: 1 }, "body must be a JSON object"]
  ])("refuses %j in words", async (body, message) => {
    const response = await post(admin + explainPath, body)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { message: expect.stringContaining(message) } })
  })
})

test("the operators' routes and the clients' routes are not reachable on each other's port", async () => {
  expect((await post(gateway.url + explainPath, chat("x"))).status).toBe(404)
  for (const path of [chatPath, "/v1/models", "/"]) {
    expect((await fetch(admin + path)).status).toBe(404)
  }
  for (const path of ["/metrics", "/readyz"]) expect((await fetch(admin + path)).status).toBe(200)
  const got = await fetch(admin + explainPath)
  expect([got.status, got.headers.get("allow")]).toEqual([405, "POST"])
})

test("a taken port is named with its setting; switched off, nothing listens", async () => {
  const other = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() })
  const { port } = other
  const rejection = await rejectionOf(startTestGateway({ config: { admin: { port } } })).finally(() => other.stop(true))
  expect(String(rejection)).toContain(`can't listen for operators on 127.0.0.1:${port}`)
  expect(String(rejection)).toContain("admin.port")
  const without = await startTestGateway({ config: { admin: { enabled: false } } })
  expect(without.handle.adminUrl).toBeUndefined()
  await without.stop()
})

describe("warmroute explain", () => {
  test("prints a row for each pod and why", async () => {
    const args = ["explain", "--admin", admin, "--prompt", "Hello", "--model", emulatedModel]
    const { code, stderr, stdout } = await warmroute(args)
    expect([code, stderr]).toEqual([0, ""])
    expect(stdout).toContain("policy  marginal-cost\n")
    // Which of the two depends on the new prompts of the tests before.
    expect(stdout).toMatch(/equally cheap: one of them at random|it had fewest new prompts of late/)
    const table = stdout.split("\n").filter((line) =>
      line.includes("  ") && /own prefill|127\.0\.0\.1:\d+ +0/.test(line)
    )
    expect(table).toHaveLength(4)
    expect(new Set(table.map((line) => line.length)).size).toBe(1)
    expect(table.filter((line) => line.startsWith("> "))).toHaveLength(1)
    expect(stdout).toMatch(/not considered\n {2}127\.0\.0\.1:1 {2}(starting|unhealthy)/)
  })

  test("prints the gateway's JSON for a file", async () => {
    const file = join(await mkdtemp(join(tmpdir(), "warmroute-explain-")), "body.json")
    await Bun.write(file, JSON.stringify({ path: "/v1/completions", body: { model: emulatedModel, prompt: "x" } }))
    const { code, stdout } = await warmroute(["explain", "--admin", admin, "--file", file, "--json"])

    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ policy: "marginal-cost", model: emulatedModel })
  })

  test.each([
    [[], "give one of --file FILE and --prompt TEXT"],
    [["--prompt", "x", "--admin", "localhost"], `--admin is "localhost" but must be a URL`],
    [["--prompt", "x", "--admin", "http://127.0.0.1:1"], "no gateway answers on http://127.0.0.1:1"],
    [["--file", "/nowhere/body.json"], "can't read /nowhere/body.json: it does not exist\n"],
    [["--file", "test"], "can't read test: it is a directory"],
    [["--file", "README.md"], "README.md is not JSON; it must hold a request's body"]
  ])("%j fails in words", async (args, message) => {
    const { code, stderr, stdout } = await warmroute(["explain", ...args])
    expect(stderr).toContain(message)
    expect([code, stdout]).toEqual([1, ""])
  })

  test("knows a server that is no gateway's operators' port, a gateway's clients' port among them", async () => {
    for (const url of [fleet.urls[0] ?? "", gateway.url]) {
      const { stderr } = await warmroute(["explain", "--prompt", "x", "--admin", url])
      expect(stderr).toContain("is not the operators' port of a warmroute gateway")
    }
  })
})
