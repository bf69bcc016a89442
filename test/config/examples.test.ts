import { describe, expect, test } from "bun:test"
import { Effect } from "effect"
import { cp, mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gateway } from "../../config/examples/gateway.ts"
import * as Gateway from "../../config/Gateway.ts"
import { GatewayConfigSchema } from "../../config/GatewayConfig.ts"
import { keysAt, leavesOf } from "../../config/schemaKeys.ts"
import { emulatedModel, startTestFleet } from "../lib/testFleet.ts"
import { eventually } from "../lib/eventually.ts"
import { decodedYaml, loaded } from "./rendered.ts"

const examples = new URL("../../config/examples/", import.meta.url).pathname

describe("gateway.yaml", () => {
  test("is a configuration, its list of pods beside it", async () => {
    const value = await loaded({ configPath: join(examples, "gateway.yaml") })
    expect(typeof value === "string" ? value : value.warnings).toEqual([])
  })

  test("shows every setting that there is", async () => {
    const written = Bun.YAML.parse(await Bun.file(join(examples, "gateway.yaml")).text())
    // Those of a weighted profile are in a comment, since a policy is one or the other.
    const elsewhere = [
      // One of this and tokenPath.
      "podAccess.tokenVariable",
      // One of these and pool, with their ports.
      "discovery.kubernetes.selector",
      "discovery.kubernetes.service",
      "discovery.kubernetes.ports",
      "policy.filters",
      "policy.scorers",
      "policy.picker.type",
      "policy.picker.parameters",
      // None by default.
      "answers.sessionHeader"
    ]
    const missing = leavesOf(GatewayConfigSchema.ast).map((leaf) => leaf.path).filter((path) =>
      path.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], written) === undefined
    )
    expect(missing.map((path) => path.join("."))).toEqual(elsewhere)
    expect(keysAt(GatewayConfigSchema.ast, ["pods", 0])).toEqual(["url", "preset"])
  })

  test("writes the defaults, where it does not say otherwise", async () => {
    const value = await loaded({ configPath: join(examples, "gateway.yaml") })
    const plain = await loaded({})
    if (typeof value === "string" || typeof plain === "string") throw new Error("not decoded")
    const {
      auth: _auth,
      decisionLog,
      discovery: _,
      extproc,
      listen,
      models,
      podAccess: _access,
      pods: _pods,
      policy,
      snapshot,
      waiting,
      ...same
    } = value.config
    const {
      auth: _noKeys,
      decisionLog: noLog,
      discovery: _none,
      extproc: noPicker,
      listen: plainListen,
      models: noModels,
      podAccess: _noAccess,
      pods: _noPods,
      policy: _policy,
      snapshot: inPlace,
      waiting: plainWaiting,
      ...defaults
    } = plain.config
    expect(same).toEqual(defaults)
    const { certPath: _cert, healthPort: _port, healthService: _name, keyPath: _key, listen: _picker, ...picker } =
      extproc
    expect({ ...picker, tls: "off" }).toEqual(noPicker)
    expect({ ...listen, tls: undefined }).toEqual({ ...plainListen, tls: undefined })
    expect(models.initialOutputTokens).toBe(noModels.initialOutputTokens)
    expect({ ...decisionLog, path: noLog.path }).toEqual(noLog)
    expect({ ...snapshot, path: inPlace.path }).toEqual(inPlace)
    expect<object>({ ...waiting, bands: [], objectives: {} }).toEqual(plainWaiting)
    expect(policy.type).toBe("marginal-cost")
  })

  test("works from a copy elsewhere", async () => {
    const directory = await mkdtemp(join(tmpdir(), "warmroute-example-"))
    await cp(examples, directory, { recursive: true })
    const value = await loaded({ configPath: join(directory, "gateway.yaml") })
    expect(typeof value === "string" ? value : value.config.snapshot.path).toStartWith(directory)
  })
})

test("every piece of YAML in the README is a configuration", async () => {
  const readme = await Bun.file(new URL("../../README.md", import.meta.url)).text()
  const pieces = [...readme.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, piece = ""]) => piece)
  expect(pieces.length).toBeGreaterThan(1)
  for (const piece of pieces) expect(decodedYaml(piece)).not.toBeString()
})

test("gateway.ts composes a gateway that serves a request by its own policy", async () => {
  const fleet = await startTestFleet(2)
  const layer = gateway({
    listen: { hostname: "127.0.0.1", port: 0 },
    admin: { enabled: false },
    pods: fleet.urls,
    scrape: { interval: "100 millis" },
    log: { level: "none" }
  })
  const ask = (url: string, session: string) =>
    fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-session-id": session },
      body: JSON.stringify({ model: emulatedModel, max_tokens: 2, messages: [{ role: "user", content: session }] })
    })
  const answers = await Effect.runPromise(
    Effect.gen(function*() {
      const { poolView, url } = yield* Gateway.Gateway
      yield* Effect.promise(() =>
        eventually("2 healthy pods", () => poolView.pods().filter((pod) => pod.health === "healthy").length === 2)
      )
      return yield* Effect.promise(async () => {
        const responses: Array<Response> = []
        for (const session of ["a", "a", "a"]) responses.push(await ask(url, session))
        return responses
      })
    }).pipe(Effect.provide(layer))
  ).finally(fleet.stop)
  expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200])
  expect(new Set(answers.map((answer) => answer.headers.get("x-warmroute-pod"))).size).toBe(1)
})
