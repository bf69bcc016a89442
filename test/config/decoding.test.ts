import { describe, expect, test } from "bun:test"
import { Duration, Either, FastCheck as fc, Schema } from "effect"
import { decodeConfig } from "../../config/decodeConfig.ts"
import { GatewayConfigSchema } from "../../config/GatewayConfig.ts"
import { leavesOf } from "../../config/schemaKeys.ts"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import { acceptedYaml, decodedYaml, refusedYaml } from "./rendered.ts"

describe("what may be left out", () => {
  test("nothing at all is a whole configuration", () => {
    const config = acceptedYaml("{}")
    expect(config.listen).toEqual({ hostname: "0.0.0.0", port: 8080, metrics: "auto" })
    expect(config.policy).toEqual({ type: "marginal-cost" })
    expect(Duration.toMillis(config.scrape.interval)).toBe(1000)
    expect(acceptedYaml("")).toEqual(config)
  })

  test("a section whose settings are all commented out has its defaults", () => {
    expect(acceptedYaml("scrape:\n  # interval: 5 s\nlimits:\n  bodyBytesMax:\n")).toEqual(acceptedYaml("{}"))
  })

  test("one written setting leaves the others of its section alone", () => {
    const { scrape } = acceptedYaml("scrape: { timeout: 2 s }")
    expect(scrape).toEqual({ ...acceptedYaml("{}").scrape, timeout: Duration.seconds(2) })
  })
})

describe("short forms", () => {
  test("a pod is a URL, with or without its scheme, or a section", () => {
    const { pods } = acceptedYaml(`pods: ["http://a:1", "b:2", "[::1]:3", { url: "https://d", preset: small }]`)
    expect(pods.map((pod) => [pod.id as string, pod.tls, pod.preset])).toEqual([
      ["a:1", false, undefined],
      ["b:2", false, undefined],
      ["[::1]:3", false, undefined],
      ["d:443", true, "small"]
    ])
  })

  test("a policy's name stands for its section", () => {
    expect(acceptedYaml("policy: round-robin").policy).toEqual(acceptedYaml("policy: { type: round-robin }").policy)
  })

  test("a hardware preset's name stands for its section, and corrections change the preset", () => {
    const small = hardwarePresets["small"]
    expect(acceptedYaml("hardware: small").hardware.constants).toEqual(small!)
    expect(acceptedYaml("hardware: { preset: small, kvCapacityTokens: 1000 }").hardware.constants).toEqual({
      ...small!,
      kvCapacityTokens: 1000
    })
  })

  test("a weighted profile gets its weight and picker by default", () => {
    expect(acceptedYaml("policy: { type: weighted, scorers: [{ type: queue-scorer }] }").policy).toEqual({
      type: "weighted",
      filters: [],
      scorers: [{ type: "queue-scorer", weight: 1 }],
      picker: { type: "max-score-picker" }
    })
  })
})

describe("what is refused names the line, the setting and the fix", () => {
  test.each([
    ["scrape:\n  intervall: 5 s", `gateway.yaml:2:3: scrape.intervall is not a setting. Did you mean scrape.interval?`],
    ["scrap:\n  interval: 5 s", `gateway.yaml:1:1: scrap is not a setting. Did you mean scrape?`],
    ["port: 9000", `gateway.yaml:1:1: port is not a setting. Did you mean listen.port?`],
    [
      "listen: { colour: red }",
      `listen.colour is not a setting. The settings there are: hostname, port, tls, metrics.`
    ],
    ["scrape: { interval: 5 }", `scrape.interval: 5 is not a duration; write it with a unit, such as "250 millis"`],
    ["scrape: { interval: 5 parsecs }", `scrape.interval: "5 parsecs" is not a duration; write it with a unit`],
    [
      "scrape: 5",
      `gateway.yaml:1:1: scrape is 5 but must be a section with the settings interval, retryAfter, timeout`
    ],
    ["limits: { bodyBytesMax: 64MOB }", `limits.bodyBytesMax: "64MOB" is not a size; write a whole number of bytes`],
    ["limits: { retriesMax: -1 }", `limits.retriesMax is -1 but must be a number between 0 and 100`],
    ["limits: { retriesMax: 1.5 }", `limits.retriesMax is 1.5 but must be an integer`],
    ["limits: { retriesMax: two }", `limits.retriesMax is "two" but must be a number`],
    ["snapshot: { enabled: maybe }", `snapshot.enabled is "maybe" but must be true or false`],
    ["log: { level: warn }", `log.level: there is no log level "warn", did you mean "warning"?`],
    ["pods: http://a:1", `gateway.yaml:1:1: pods is "http://a:1" but must be a list`],
    ["pods:\n  - http://a:1\n  - http//x", `gateway.yaml:3:5: pods[1]: "http//x" is not a URL; write it as http://`],
    ["pods:\n  - http://a:1/v1", `pods[0]: "http://a:1/v1" has a path or query; a pod URL is only an origin such as`],
    ["pods:\n  - { urll: http://a:1 }", `pods[0].urll is not a setting. Did you mean pods[0].url?`],
    ["pods:\n  - http://a:1\n  - a:1", `gateway.yaml:3:5: pods[1] repeats a:1 of pods[0]; remove one of them`],
    [`pods: [{ url: "http://a:1", preset: smal }]`, `pods[0].preset: there is no hardware preset "smal", did you mean`],
    ["hardware: huge", `hardware: there is no hardware preset "huge" (there are: `],
    ["hardware: { kvCapacity: 9 }", `hardware.kvCapacity is not a setting. Did you mean hardware.kvCapacityTokens?`],
    ["policy: margnal-cost", `policy: there is no policy "margnal-cost", did you mean "marginal-cost"?`],
    ["policy: { type: marginal-cost, parameters: { hystersis: 1 } }", `marginal-cost: parameter "hystersis"`],
    ["policy: { type: random, scorers: [] }", `policy has "scorers", which only the policy "weighted" takes`],
    ["policy: { type: weighted }", `policy: "weighted" needs at least one scorer; write scorers: [`],
    ["policy: { type: weighted, scorers: [{ type: prefix }] }", `policy: there is no scorer "prefix"; there are:`],
    ["policy: { type: weighted, scorers: [{ type: queue-scorer, weight: -1 }] }", `policy.scorers[0].weight is -1 but`],
    ["discovery: { dns: { name: a.b } }", `discovery.dns.port is missing; write the pods' port, or srv: true`],
    ["discovery: { dns: { name: a.b, srv: true, port: 1 } }", `discovery.dns.port: SRV records bring the port; remove`],
    ["discovery: { dns: { port: 1 } }", `discovery.dns.name is missing`],
    ["models: { aliases: { gpt-4.1: 3 } }", `models.aliases["gpt-4.1"] is 3 but must be text`],
    ["a: 1\na: 2", `gateway.yaml:2:1 is not YAML: Map keys must be unique. Each key may be there once; remove one`],
    [
      "scrape:\n\tinterval: 1 s",
      `gateway.yaml:2:1 is not YAML: Tabs are not allowed as indentation. Indent with spaces.`
    ],
    ["pods: [", `gateway.yaml:1:8 is not YAML: `],
    ["x: *nobody", `gateway.yaml is not YAML: Unresolved alias`],
    ["x: &a [*a]", `gateway.yaml: nests deeper than 32 levels. An alias (*name) must not lie inside the value`],
    ["- http://a:1", `gateway.yaml:1:1 does not hold settings by name. Write for instance "listen: { port: 8080 }".`]
  ])("%s", (yaml, message) => expect(refusedYaml(yaml)).toContain(message))

  test("everything that is wrong comes in one message, one line each", () => {
    const lines = refusedYaml("port: 1\nscrape: { interval: 5 }\nlimits: { retriesMax: -1 }").split("\n")
    expect(lines).toEqual([
      "3 settings are wrong:",
      expect.stringContaining("  - gateway.yaml:1:1: port is not a setting."),
      expect.stringContaining("  - gateway.yaml:2:11: scrape.interval: 5 is not a duration;"),
      expect.stringContaining("  - gateway.yaml:3:11: limits.retriesMax is -1 but")
    ])
  })
})

describe("any input", () => {
  const sections = Object.keys(GatewayConfigSchema.fields)

  test("is decoded or refused with a readable message, never thrown", () => {
    const tree = fc.dictionary(fc.oneof(fc.constantFrom(...sections), fc.string()), fc.jsonValue())
    fc.assert(fc.property(tree, (values) => {
      const decoded = decodeConfig([{ name: "test", values }])
      if (Either.isLeft(decoded)) expect(decoded.left.render()).toContain("test")
    }))
  })

  test("text is decoded or refused, never thrown", () => {
    fc.assert(fc.property(fc.string(), (text) => {
      const decoded = decodedYaml(text)
      expect(typeof decoded === "string" ? decoded.length > 0 : decoded.listen.port === 8080).toBe(true)
    }))
  })

  test("a key that no section knows is refused by its path", () => {
    const leaves = leavesOf(GatewayConfigSchema.ast).filter((leaf) => leaf.path.length === 2)
    fc.assert(fc.property(fc.constantFrom(...leaves), ({ path: [section = ""] }) => {
      const decoded = decodeConfig([{ name: "test", values: { [section]: { zzzzz: 1 } } }])
      expect(Either.match(decoded, { onLeft: (error) => error.render(), onRight: () => "accepted" })).toContain(
        `${section}.zzzzz is not a setting`
      )
    }))
  })
})

test("a decoded configuration is written back to one that decodes to the same", () => {
  const config = acceptedYaml(`
pods: [http://a:1, { url: "https://b", preset: small }]
policy: { type: weighted, scorers: [{ type: queue-scorer, weight: 2 }] }
hardware: { preset: small, kvCapacityTokens: 4096 }
scrape: { interval: 250 millis }
limits: { bodyBytesMax: 1 KiB }
`)
  const written = Schema.encodeSync(GatewayConfigSchema)(config)
  expect(Schema.decodeSync(GatewayConfigSchema)(written)).toEqual(config)
})
