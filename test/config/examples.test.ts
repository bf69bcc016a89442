import { describe, expect, test } from "bun:test"
import { Effect, Schema } from "effect"
import { cp, mkdtemp, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { gateway } from "../../config/examples/gateway.ts"
import * as Gateway from "../../config/Gateway.ts"
import { GatewayConfigSchema } from "../../config/GatewayConfig.ts"
import { keysAt, leavesOf } from "../../config/schemaKeys.ts"
import * as marginalCost from "../../src/policies/placement/marginal-cost.ts"
import { emulatedModel, startTestFleet } from "../lib/testFleet.ts"
import { eventually } from "../lib/eventually.ts"
import { writtenSettings } from "./exampleComments.ts"
import { decodedYaml, loaded } from "./rendered.ts"

const examples = new URL("../../config/examples/", import.meta.url).pathname

/** Sections that are not there by default, with no more in them than they need. */
const bare = {
  discovery: {
    file: { path: "pods.yaml" },
    dns: { name: "vllm-headless.default.svc.cluster.local", port: 8000 },
    kubernetes: { pool: "vllm-qwen3-32b", kubeconfig: "kubeconfig.yaml" }
  }
}

/** Settings by their paths in the file, as they were decoded. Durations and sizes are equal however they are written. */
const byPath = (value: Awaited<ReturnType<typeof loaded>>) => {
  if (typeof value === "string") throw new Error(value)
  const { hardware: { constants, preset }, policy, ...rest } = value.config
  const given = "parameters" in policy ? policy.parameters : undefined
  const parameters = Schema.decodeUnknownSync(marginalCost.Config)(given ?? {})
  return valueAt({ ...rest, hardware: { preset, ...constants }, policy: { type: policy.type, parameters } })
}

const valueAt = (root: unknown) => (path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], root)

const isWithin = (root: unknown, path: ReadonlyArray<string>): boolean => {
  const value = valueAt(root)(path)
  return value !== undefined && typeof value !== "object"
}

const isSection = (value: unknown): boolean =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype

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
      "answers.sessionHeader",
      // One of this and sessionSecretsPath.
      "answers.sessionSecretsVariable"
    ]
    const missing = leavesOf(GatewayConfigSchema.ast).map((leaf) => leaf.path).filter((path) =>
      path.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], written) === undefined
    )
    expect(missing.map((path) => path.join("."))).toEqual(elsewhere)
    expect(keysAt(GatewayConfigSchema.ast, ["pods", 0])).toEqual(["url", "preset"])
  })

  test("writes every default as it is, where it does not say otherwise", async () => {
    const directory = await mkdtemp(join(tmpdir(), "warmroute-example-"))
    await cp(examples, directory, { recursive: true })
    await writeFile(join(directory, "bare.yaml"), Bun.YAML.stringify(bare))
    const text = await Bun.file(join(directory, "gateway.yaml")).text()
    const written = byPath(await loaded({ configPath: join(directory, "gateway.yaml") }))
    const defaults = byPath(await loaded({ configPath: join(directory, "bare.yaml") }))
    const settings = writtenSettings(text).filter(({ path }) => !isWithin(bare, path))
    const wrong = settings.flatMap(({ isExample, ownDefault, path }) => {
      const [found, standard] = [written(path), defaults(path)]
      if (isSection(found)) return []
      // A path that is written is one from the file's folder, the default from where the gateway starts.
      const value = typeof found === "string" && found.startsWith(directory) ? relative(directory, found) : found
      if (standard === undefined || Bun.deepEquals(standard, [])) {
        return isExample
          ? []
          : [`${path.join(".")} has no default, which it should say`]
      }
      const isSaid = ownDefault === undefined
        ? Bun.deepEquals(value, standard)
        : ownDefault === String(standard)
      return isSaid ? [] : [`${path.join(".")} is by default ${JSON.stringify(standard)}`]
    })
    expect(wrong).toEqual([])
    expect(settings.length).toBeGreaterThan(150)
  })

  test("writes every parameter of the policy that it shows", async () => {
    const written = Bun.YAML.parse(await Bun.file(join(examples, "gateway.yaml")).text()) as {
      readonly policy: { readonly parameters: Readonly<Record<string, unknown>> }
    }
    expect(Object.keys(written.policy.parameters)).toEqual(Object.keys(marginalCost.Config.fields))
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
