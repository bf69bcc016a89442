import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Exit } from "effect"
import { decodeConfig } from "../../config/decodeConfig.ts"
import { keyHash, newKey } from "../../src/http/doors/clientKey.ts"
import { eventually } from "../lib/eventually.ts"
import { emulatedModel, startTestFleet, type TestFleet } from "../lib/testFleet.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"
import { withDirectory } from "../storage/snapshots.ts"
import { valueOf } from "../telemetry/page.ts"

/** A key with terms, as a list of keys has it; the terms go all the way from the file to the client's answer. */
const keyWith = (name: string, terms: object = {}) => {
  const key = newKey()
  return { key, entry: { name, hash: keyHash(key), ...terms } }
}

const keys = {
  any: keyWith("any"),
  single: keyWith("single", { openRequestsMax: 1 }),
  rated: keyWith("rated", { requestsPerMinute: 2 }),
  tokened: keyWith("tokened", { tokensPerMinute: 60 }),
  expired: keyWith("expired", { expires: "2020-01-31" }),
  lasting: keyWith("lasting", { expires: "2120-01-31" }),
  narrow: keyWith("narrow", { models: ["big"] }),
  stranger: keyWith("stranger", { models: ["another-model"] })
}

let fleet: TestFleet
let gateway: TestGateway
beforeAll(async () => {
  fleet = await startTestFleet(1)
  gateway = await startTestGateway({
    pods: fleet.urls,
    config: {
      auth: { keys: Object.values(keys).map(({ entry }) => entry) },
      models: { aliases: { big: emulatedModel } },
      limits: { openRequestsPerKeyMax: 3 }
    }
  })
  await gateway.healthyPods(1)
}, 30_000)
afterAll(async () => {
  await gateway?.stop()
  await fleet?.stop()
})

const ask = ({ key }: { readonly key: string }, body: object = {}): Promise<Response> =>
  fetch(`${gateway.url}/v1/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ model: emulatedModel, prompt: "one two", max_tokens: 1, ignore_eos: true, ...body })
  })

const told = async (answer: Response): Promise<readonly [status: number, code: string | undefined]> => {
  const body = await answer.json() as { readonly error?: { readonly code?: string } }
  return [answer.status, body.error?.code]
}

const good = [200, undefined] as const

describe("a key's terms hold at the door:", () => {
  test("a key without any serves", async () => {
    for (let i = 0; i < 5; i++) expect(await told(await ask(keys.any))).toEqual(good)
  })

  test("requests a minute", async () => {
    expect(await told(await ask(keys.rated))).toEqual(good)
    expect(await told(await ask(keys.rated))).toEqual(good)
    const refused = await ask(keys.rated)
    expect(Number(refused.headers.get("retry-after"))).toBeWithin(1, 31)
    expect(await told(refused)).toEqual([429, "requests_per_minute_exceeded"])
  })

  test("tokens a minute, the answer's among them", async () => {
    expect(await told(await ask(keys.tokened, { max_tokens: 50 }))).toEqual(good)
    const refused = await ask(keys.tokened, { prompt: "word ".repeat(40) })
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1)
    expect(await told(refused)).toEqual([429, "tokens_per_minute_exceeded"])
    const page = await (await fetch(`${gateway.handle.adminUrl}/metrics`)).text()
    expect(valueOf(page, "warmroute_key_tokens_total", { key: "tokened" })).toBeGreaterThan(50)
  })

  test("a request that fails gives its place among the open ones back", async () => {
    expect(await told(await ask(keys.single, { model: 5 }))).toEqual([400, "bad_request"])
    expect(await told(await ask(keys.single, { model: "nobody-serves-this" }))).toEqual([404, "model_not_found"])
    expect(await told(await ask(keys.single))).toEqual(good)
  })

  test("its last day", async () => {
    expect(await told(await ask(keys.expired))).toEqual([401, "expired_api_key"])
    expect(await told(await ask(keys.lasting))).toEqual(good)
  })

  test("its models, by alias and by name, and no others", async () => {
    for (const model of ["big", emulatedModel]) expect(await told(await ask(keys.narrow, { model }))).toEqual(good)
    expect(await told(await ask(keys.stranger))).toEqual([403, "model_not_allowed"])
    expect(await told(await ask(keys.stranger, { model: "big" }))).toEqual([403, "model_not_allowed"])
    expect(await told(await ask(keys.stranger, { model: undefined }))).toEqual([403, "model_not_allowed"])
  })

  test.each([["its own open requests", keys.single, 1], ["the open requests of any key", keys.any, 3]] as const)(
    "%s, until one ends",
    async (_what, holder, openMax) => {
      const leave = new AbortController()
      const streams = await Promise.all(Array.from({ length: openMax }, () =>
        fetch(`${gateway.url}/v1/completions`, {
          method: "POST",
          signal: leave.signal,
          headers: { authorization: `Bearer ${holder.key}`, "content-type": "application/json" },
          body: JSON.stringify({
            model: emulatedModel,
            prompt: "x",
            max_tokens: 20_000,
            ignore_eos: true,
            stream: true
          })
        })))
      expect(streams.map(({ status }) => status)).toEqual(streams.map(() => 200))
      expect(await told(await ask(holder))).toEqual([429, "key_open_requests_exceeded"])
      leave.abort()
      await eventually("its requests have ended", async () => (await ask(holder)).status === 200)
    }
  )
})

describe("keys at rest", () => {
  test("are hashes: a key in the place of one is refused, in the configuration and in the file of keys", () =>
    withDirectory(async (directory) => {
      const { key } = keys.any
      const values = { auth: { keys: [{ name: "a", hash: key }] } }
      const inline = await Effect.runPromise(Effect.exit(decodeConfig([{ name: "test", values }])))
      expect(Exit.isFailure(inline)).toBe(true)
      const keysPath = join(directory, "keys.yaml")
      writeFileSync(keysPath, JSON.stringify([{ name: "a", hash: key }]))
      const started = await startTestGateway({ pods: fleet.urls, config: { auth: { keysPath } } }).then(
        async (wrongly) => {
          await wrongly.stop()
          return "it started"
        },
        String
      )
      expect(started).toContain("sha256:")
      expect(started).not.toContain(key)
    }))

  test("are no text in memory that a dump of the running configuration would show", () => {
    const dump = JSON.stringify(gateway.handle.config())
    expect(dump).toContain(keys.any.entry.hash.slice("sha256:".length))
    for (const { key } of Object.values(keys)) expect(dump).not.toContain(key)
  })

  // How long a comparison takes is too noisy to test, so the test is that nothing else compares.
  test.each(["KeyRing", "SessionTokens"])("%s compares secrets by timingSafeEqual alone", (name) => {
    const source = readFileSync(new URL(`../../src/http/doors/${name}.ts`, import.meta.url), "utf8")
    expect(source).toMatch(/[!= (]timingSafeEqual\(/)
    expect(source).not.toMatch(/(?:digest|tag|secret|sha256|key)\)? (?:===|!==) (?!undefined|"")/i)
  })
})
