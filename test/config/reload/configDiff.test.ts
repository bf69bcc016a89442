import { describe, expect, test } from "bun:test"
import { Effect, FastCheck as fc } from "effect"
import { decodeConfig } from "../../../config/decodeConfig.ts"
import { type GatewayConfig, GatewayConfigSchema } from "../../../config/GatewayConfig.ts"
import { changeText, configDiff, runningConfig } from "../../../config/reload/configDiff.ts"
import { takesEffect, whenTaken } from "../../../config/reload/takesEffect.ts"
import { leavesOf } from "../../../config/schemaKeys.ts"

const configOf = (values: Readonly<Record<string, unknown>>): GatewayConfig =>
  Effect.runSync(decodeConfig([{ name: "test", values }]))

const texts = (before: Readonly<Record<string, unknown>>, after: Readonly<Record<string, unknown>>) =>
  configDiff(configOf(before), configOf(after)).map(changeText)

const hash = (digit: string): string => `sha256:${digit.repeat(64)}`

/** Configurations with settings of every kind: live and not, sections, lists, maps, optional ones. */
const configs = fc.record({
  limits: fc.record({
    retriesMax: fc.nat({ max: 3 }),
    podsMax: fc.integer({ min: 8, max: 9 }),
    silenceTimeout: fc.constantFrom("1 s", "1000 millis", "2 minutes")
  }, { requiredKeys: [] }),
  pods: fc.uniqueArray(
    fc.record({ url: fc.constantFrom("http://a:1", "http://b:1", "https://b:2"), preset: fc.constant("small") }, {
      requiredKeys: ["url"]
    }),
    { selector: ({ url }) => url }
  ),
  discovery: fc.record({
    dns: fc.record({ name: fc.constantFrom("pods", "others"), port: fc.constant(8000) })
  }, { requiredKeys: [] }),
  policy: fc.constantFrom<unknown>(
    "random",
    { type: "marginal-cost", parameters: { hysteresis: 0.2 } },
    { type: "weighted", scorers: [{ type: "queue-scorer", weight: 2 }] }
  ),
  hardware: fc.constantFrom<unknown>("small", { preset: "small", prefillTokenS: 1e-4 }),
  models: fc.record({ aliases: fc.dictionary(fc.constantFrom("gpt", "x.y"), fc.constantFrom("one", "two")) }),
  auth: fc.record({
    keys: fc.constantFrom<unknown>([], [{ name: "ci", hash: hash("a") }], [{ name: "ci", hash: hash("b") }])
  }),
  listen: fc.record({
    tls: fc.record({ certPath: fc.constantFrom("a.pem", "b.pem"), keyPath: fc.constant("key.pem") })
  }, { requiredKeys: [] }),
  log: fc.record({ level: fc.constantFrom("info", "debug") })
}, { requiredKeys: [] })

describe("when a setting takes effect", () => {
  test("is said of every setting that there is, and of no other", () => {
    const settings = leavesOf(GatewayConfigSchema.ast).map(({ path }) => path)
    expect(settings.filter((path) => whenTaken(path) === undefined).map((path) => path.join("."))).toEqual([])
    const named = new Set(settings.flatMap((path) => path.map((_, index) => path.slice(0, index + 1).join("."))))
    expect(Object.keys(takesEffect).filter((path) => !named.has(path))).toEqual([])
  })
})

describe("the difference of two configurations", () => {
  test("is nothing between one and itself, however it is written", () => {
    fc.assert(fc.property(configs, (values) => {
      expect(configDiff(configOf(values), configOf(structuredClone(values)))).toEqual([])
    }))
    expect(texts({ limits: { silenceTimeout: "1 s" } }, { limits: { silenceTimeout: "1000 millis" } })).toEqual([])
  })

  test("is there whenever they differ, and the same settings differ the other way round", () => {
    fc.assert(fc.property(configs, configs, (one, other) => {
      const [before, after] = [configOf(one), configOf(other)]
      const there = configDiff(before, after)
      expect(there.length === 0).toBe(Bun.deepEquals(before, after))
      const back = configDiff(after, before)
      expect(back.map(({ setting }) => setting).sort()).toEqual(there.map(({ setting }) => setting).sort())
      expect(new Set(there.map(({ setting }) => setting)).size).toBe(there.length)
    }))
  })

  test("is in words: one line a setting, pods by name, lasting settings marked", () => {
    expect(
      texts(
        { pods: ["http://a:1", "http://b:1"], limits: { podsMax: 8 }, discovery: { dns: { name: "old", port: 8000 } } },
        {
          pods: ["http://a:1", { url: "http://c:1", preset: "small" }],
          policy: "random",
          limits: { podsMax: 9, retriesMax: 3, silenceTimeout: "90 s" },
          models: { aliases: { "gpt-4o": "qwen" } }
        }
      ).sort()
    ).toEqual([
      "discovery.dns.interval: 10 seconds -> not set",
      "discovery.dns.name: old -> not set",
      "discovery.dns.port: 8000 -> not set",
      "discovery.dns.srv: false -> not set",
      "discovery.dns.tls: false -> not set",
      "limits.podsMax: 8 -> 9 (takes effect after a restart)",
      "limits.retriesMax: 2 -> 3",
      "limits.silenceTimeout: 5 minutes -> 90 seconds",
      "models.aliases.gpt-4o: not set -> qwen",
      "pods[\"http://b:1\"] removed",
      "pods[\"http://c:1\"] added",
      "policy.type: marginal-cost -> random"
    ])
    expect(texts({ pods: ["http://a:1"] }, { pods: [{ url: "http://a:1", preset: "small" }] })).toEqual([
      "pods[\"http://a:1\"].preset: not set -> small"
    ])
  })

  test("says of TLS that it begins and ends with a start, and of its files that they are taken now", () => {
    const tls = (name: string) => ({ listen: { tls: { certPath: `${name}.pem`, keyPath: "key.pem" } } })
    const late = [
      "listen.tls.certPath: not set -> a.pem (takes effect after a restart)",
      "listen.tls.keyPath: not set -> key.pem (takes effect after a restart)"
    ]
    expect(texts({}, tls("a"))).toEqual(late)
    expect(texts(tls("a"), tls("b"))).toEqual(["listen.tls.certPath: a.pem -> b.pem"])
    const [plain, first, second] = [configOf({}), configOf(tls("a")), configOf(tls("b"))]
    expect(runningConfig(plain, first).listen.tls).toBeUndefined()
    expect(runningConfig(first, second).listen.tls).toEqual(second.listen.tls)
    expect(runningConfig(runningConfig(first, second), plain).listen.tls).toEqual(second.listen.tls)
  })

  test("shows no hash of a key", () => {
    const changes = configDiff(
      configOf({ auth: { keys: [{ name: "ci", hash: hash("a") }, { name: "old", hash: hash("c") }] } }),
      configOf({ auth: { keys: [{ name: "ci", hash: hash("b"), models: ["one"] }, { name: "new", hash: hash("d") }] } })
    )
    expect(changes.map(changeText)).toEqual([
      "auth.keys.ci.hash: (hidden) -> (hidden)",
      "auth.keys.ci.models: not set -> [\"one\"]",
      "auth.keys.old removed",
      "auth.keys.new added"
    ])
    expect(JSON.stringify(changes)).not.toMatch(/(\w)\1{20}/)
  })

  test("shows a long value cut", () => {
    const [change = ""] = texts({}, { models: { aliases: { gpt: "x".repeat(5000) } } })
    expect(change.length).toBeLessThan(300)
  })
})

test("after a reload every live setting is the new one, and every other that of the start", () => {
  fc.assert(fc.property(configs, configs, (one, other) => {
    const [started, next] = [configOf(one), configOf(other)]
    const running = runningConfig(started, next)
    expect(configDiff(started, running).filter((change) => change.takesEffect !== "now")).toEqual([])
    expect(configDiff(running, next).filter((change) => change.takesEffect === "now")).toEqual([])
    expect(runningConfig(started, started)).toEqual(started)
  }))
})
