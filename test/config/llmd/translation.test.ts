import { describe, expect, test } from "bun:test"
import { Duration, Effect, Either } from "effect"
import type { ConfigSource } from "../../../config/ConfigSource.ts"
import { decodeConfig } from "../../../config/decodeConfig.ts"
import type { GatewayConfig } from "../../../config/GatewayConfig.ts"
import type { LlmdReport } from "../../../config/llmd/LlmdReport.ts"
import { translateLlmd } from "../../../config/llmd/translate.ts"
import { loadConfig } from "../../../config/loadConfig.ts"
import { yamlSource } from "../../../config/yamlSource.ts"

const fixture = (name: string): string => new URL(`../../fixtures/llmd/${name}.yaml`, import.meta.url).pathname

const loaded = (path: string, environment: Readonly<Record<string, string>> = {}) =>
  Effect.runPromise(loadConfig({ flags: {}, environment, configPath: path }))

interface Translated {
  readonly config: GatewayConfig
  readonly report: LlmdReport
}

const translated = (text: string): Translated | string =>
  Either.match(
    Either.gen(function*() {
      const file: ConfigSource = yield* yamlSource("epp.yaml", text)
      const { report, source } = yield* translateLlmd(file)
      return { config: yield* decodeConfig([source]), report }
    }),
    { onLeft: (error) => error.render(), onRight: (value) => value }
  )

const head = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"

const accepted = (body: string): Translated => {
  const value = translated(head + body)
  if (typeof value === "string") throw new Error(value)
  return value
}

const refused = (body: string): string => {
  const value = translated(head + body)
  if (typeof value !== "string") throw new Error(`accepted: ${body}`)
  return value
}

/** What comes before a profile's own filters while flow control is off. */
const shedding = { type: "probabilistic-admitter", parameters: { power: 1e6, k: 1 } }

const supportOf = ({ report }: Translated, name: string) => report.rows.find((row) => row.name === name)?.support

describe("published guides", () => {
  test("optimized-baseline up to v0.8 is the blend with its weights, and its old group is told of", async () => {
    const { config, warnings } = await loaded(fixture("optimized-baseline-v0.8"))
    expect(config.policy).toEqual({
      type: "weighted",
      filters: [shedding],
      scorers: [
        { type: "queue-scorer", weight: 2 },
        { type: "kv-cache-utilization-scorer", weight: 2 },
        { type: "prefix-cache-scorer", weight: 3 },
        { type: "no-hit-lru-scorer", weight: 2 }
      ],
      picker: { type: "max-score-picker" }
    })
    expect(warnings.join()).toContain("inference.networking.x-k8s.io/v1alpha1 is deprecated")
  })

  test("optimized-baseline of August 2026 is affinity over token load, its penalty in tokens", async () => {
    const { config } = await loaded(fixture("optimized-baseline-2026-08"))
    expect(config.policy).toEqual({
      type: "weighted",
      filters: [shedding, {
        type: "prefix-cache-affinity-filter",
        parameters: {
          affinityThreshold: 0.8,
          explorationProbability: 0,
          maxTTFTPenaltyMs: (286_720 / 15_928) * 1000,
          peakPrefillThroughput: 15_928
        }
      }],
      scorers: [{ type: "token-load-scorer", weight: 1 }],
      picker: { type: "max-score-picker" }
    })
  })

  test("flow-control is the waiting room with a bound for each band", async () => {
    const { config: { policy, waiting } } = await loaded(fixture("flow-control"))
    expect("filters" in policy ? policy.filters : undefined).toEqual([])
    expect(waiting).toMatchObject({ enabled: true, requestsMax: 1000, bytesMax: 10 * 2 ** 30 })
    expect(Duration.toSeconds(waiting.timeout!)).toBe(60)
    expect(waiting.bands).toEqual([
      { priority: 100, requestsMax: 500 },
      { priority: 0, requestsMax: 200 },
      { priority: -10, requestsMax: 50 }
    ])
  })

  test("precise-prefix-cache-routing goes by sketches, and says so", async () => {
    const { config, llmd, warnings } = await loaded(fixture("precise-prefix-cache"))
    expect("scorers" in config.policy ? config.policy.scorers : []).toEqual([
      { type: "active-request-scorer", weight: 4 },
      { type: "kv-cache-utilization-scorer", weight: 2 },
      { type: "prefix-cache-scorer", weight: 2 },
      { type: "no-hit-lru-scorer", weight: 2 }
    ])
    expect(llmd?.rows.map(({ support }) => support)).not.toContain("no equivalent")
    expect(warnings.join()).toContain("KV events are not read")
  })
})

describe("a profile", () => {
  test("that is not written has every filter, scorer and picker of the list with the weight 1", () => {
    const { config } = accepted("plugins: [{ type: decode-filter }, { type: queue-scorer }, { type: random-picker }]")
    expect(config.policy).toEqual({
      type: "weighted",
      filters: [shedding, { type: "decode-filter" }],
      scorers: [{ type: "queue-scorer", weight: 1 }],
      picker: { type: "random-picker" }
    })
  })

  test("of nothing but a picker takes any pod", () => {
    expect(accepted("featureGates: [flowControl]\nplugins: [{ type: max-score-picker }]").config.policy).toEqual({
      type: "random"
    })
  })

  test("keeps the parameters of its plug-ins, whatever they are called", () => {
    const { config } = accepted(`
plugins:
  - { name: short, type: prefix-cache-scorer, parameters: { matchLengthWeight: 0.2 } }
  - { name: long, type: prefix-cache-scorer, parameters: { matchLengthScaleTokens: 4096 } }
schedulingProfiles: [{ name: p, plugins: [{ pluginRef: short, weight: 0.5 }, { pluginRef: long }] }]
`)
    expect("scorers" in config.policy ? config.policy.scorers : []).toEqual([
      { type: "prefix-cache-scorer", parameters: { matchLengthWeight: 0.2 }, weight: 0.5 },
      { type: "prefix-cache-scorer", parameters: { matchLengthScaleTokens: 4096 }, weight: 1 }
    ])
  })

  test("filters by context length only where that is switched on", () => {
    const of = (parameters: string) =>
      accepted(`plugins: [{ type: context-length-aware, parameters: ${parameters} }]`).config.policy
    const on = of("{ enableFiltering: true, label: l }")
    const own = { type: "context-length-aware", parameters: { label: "l" } }
    expect("filters" in on ? on.filters : []).toEqual([shedding, own])
    expect("scorers" in on ? on.scorers : []).toEqual([{ ...own, weight: 1 }])
    const off = of("{}")
    expect("filters" in off ? off.filters : []).toEqual([shedding])
  })

  test("sheds nothing by a count of requests", () => {
    const { config } = accepted(`
plugins: [{ type: concurrency-detector }, { type: queue-scorer }]
schedulingProfiles: [{ name: p, plugins: [{ pluginRef: queue-scorer }] }]
flowControl: { saturationDetector: { pluginRef: concurrency-detector } }
`)
    expect("filters" in config.policy ? config.policy.filters : undefined).toEqual([])
  })

  test("takes the thresholds of the saturation detector for shedding", () => {
    const { config } = accepted(`
plugins: [{ name: mine, type: utilization-detector, parameters: { queueDepthThreshold: 9 } }, { type: queue-scorer }]
schedulingProfiles: [{ name: p, plugins: [{ pluginRef: queue-scorer }] }]
saturationDetector: { pluginRef: mine }
`)
    expect("filters" in config.policy ? config.policy.filters : []).toEqual([
      { type: "probabilistic-admitter", parameters: { queueDepthThreshold: 9, power: 1e6, k: 1 } }
    ])
  })
})

describe("sessions", () => {
  test("by token set the header of answers and llm-d's form of tokens, which other replicas read, and say what that costs", () => {
    const { config, report } = accepted("plugins: [{ type: session-affinity-scorer }]")
    expect(config.answers).toMatchObject({ sessionHeader: "x-session-token", sessionTokens: "plain" })
    expect(JSON.stringify(report)).toContain("a client can write one: answers.sessionTokens: signed forbids it")
  })

  test("by name go by the header or the cookie that a producer names", () => {
    const { config } = accepted(`
plugins:
  - { name: sid, type: session-id-producer, parameters: { cookieName: sid } }
  - type: agent-identity
  - type: session-affinity-filter
    parameters:
      strategy: session_id
      sessionIdConfig:
        evictionTtlSeconds: 60
        sources: [{ header: x-a }, { attribute: SessionIDDataKey, producer: sid }, { attribute: agent-identity }]
`)
    const [, filter] = "filters" in config.policy ? config.policy.filters : []
    expect(filter?.parameters).toEqual({
      strategy: "session_id",
      evictionTtlSeconds: 60,
      sources: [
        { header: "x-a" },
        { cookie: "sid" },
        { header: "x-claude-code-session-id" },
        { header: "x-session-affinity" },
        { header: "session-id" },
        { header: "session_id" }
      ]
    })
    expect(config.answers.sessionHeader).toBeUndefined()
  })
})

describe("what llm-d's picker does beside its file", () => {
  test("listening for Envoy and the names of its metrics are on, and a variable changes that", async () => {
    const plain = await loaded(fixture("flow-control"))
    expect(plain.config.extproc).toMatchObject({ tls: "self-signed", healthPort: 9003 })
    expect([plain.config.extproc.listen?.port, plain.config.metrics.llmdAliases]).toEqual([9002, true])
    const { config } = await loaded(fixture("flow-control"), {
      WARMROUTE_EXTPROC_LISTEN_PORT: "7000",
      WARMROUTE_POLICY: "marginal-cost"
    })
    expect([config.extproc.listen?.port, config.policy]).toEqual([7000, { type: "marginal-cost" }])
  })

  test("file discovery, the interval of scrapes and further endpoints have their settings", () => {
    const { config } = accepted(`
plugins:
  - { type: file-discovery, parameters: { path: /etc/pods.yaml, watchFile: true } }
  - { type: metrics-data-source, parameters: { interval: 200ms, scheme: http, path: /metrics } }
  - { type: core-metrics-extractor }
  - { type: max-score-picker, parameters: { maxNumOfEndpoints: 4 } }
dataLayer:
  discovery: { pluginRef: file-discovery }
  sources: [{ pluginRef: metrics-data-source, extractors: [{ pluginRef: core-metrics-extractor }] }]
`)
    expect(config.discovery.file?.path).toBe("/etc/pods.yaml")
    expect(Duration.toMillis(config.scrape.interval)).toBe(200)
    expect(config.extproc.fallbacks).toBe(3)
  })

  test("without flow control nothing waits, and the section is said to be unread", () => {
    const value = accepted("featureGates: [flowControl=false]\nflowControl: { maxRequests: 5 }")
    expect(value.config.waiting.enabled).toBe(false)
    expect(supportOf(value, "flowControl")).toBe("not needed")
  })

  test("what has no equivalent is said", () => {
    const value = accepted(`
featureGates: [flowControl]
flowControl:
  defaultRequestTTL: 1m30s
  noEndpointRequestTTL: 5m
  defaultPriorityBand: { maxRequests: 10 }
  priorityBands: [{ priority: 1, maxBytes: 500M }]
`)
    expect(Duration.toSeconds(value.config.waiting.timeout!)).toBe(90)
    for (const name of ["flowControl.noEndpointRequestTTL", "bands' maxBytes", "default bands' maxRequests"]) {
      expect(supportOf(value, name)).toBe("no equivalent")
    }
  })

  test("two prefix caches are one here, and that is a warning", () => {
    const { report } = accepted(`
plugins:
  - { name: cpu, type: approx-prefix-cache-producer, parameters: { autoTune: false, lruCapacityPerServer: 1000 } }
  - type: prefix-cache-scorer
  - { name: second, type: prefix-cache-scorer, parameters: { prefixMatchInfoProducerName: cpu } }
`)
    expect(report.warnings.join()).toContain("pods have one prefix cache here")
  })
})

describe("what is wrong is told with its line", () => {
  test.each([
    [
      "plugins:\n  - type: queue-scorr",
      `epp.yaml:4:5: plugins[0].type is "queue-scorr", which is no type of llm-d's. Did you mean queue-scorer?`
    ],
    [
      "plugins:\n  - type: latency-scorer",
      `epp.yaml:4:5: plugins[0].type is "latency-scorer", which is not supported: there is no latency predictor; the ` +
      "nearest is the policy marginal-cost, which predicts TTFT by itself."
    ],
    [
      "plugins:\n  - type: load-aware-scorer\n    parameters:\n      threshhold: 5",
      "epp.yaml:6:7: plugins[0].parameters.threshhold is not a setting. Did you mean plugins[0].parameters.threshold?"
    ],
    [
      "plugins:\n  - type: load-aware-scorer\n    parameters:\n      threshold: many",
      `epp.yaml:6:7: plugins[0].parameters.threshold is "many" but must be a number.`
    ],
    [
      "plugins:\n  - type: prefix-cache-affinity-filter\n    parameters: { ttftSource: latencyPredictor }",
      "epp.yaml:5:19: plugins[0].parameters.ttftSource: must be prefillThroughput: there is no latency predictor, whose " +
      "place marginal-cost takes."
    ],
    [
      "plugins: [{ type: queue-scorer }, { type: queue-scorer }]",
      `epp.yaml:3:35: plugins[1] repeats the name "queue-scorer". Give one of the two another name.`
    ],
    [
      "plugins: [{ type: queue-scorer }]\nschedulingProfiles: [{ name: p, plugins: [{ pluginRef: queue }] }]",
      `epp.yaml:4:45: schedulingProfiles[0].plugins[0].pluginRef is "queue", which is not listed. Did you mean queue-scorer?`
    ],
    [
      "plugins: [{ type: queue-scorer }]\nschedulingProfiles: [{ name: p, plugins: [] }, { name: q, plugins: [] }]",
      `epp.yaml:4:48: schedulingProfiles[1] is a second profile, "q", and there is one for every request. Leave the ` +
      "profile that decodes; the others are for disaggregated requests."
    ],
    [
      "plugins: [{ type: queue-scorer }]\nrequestHandler: { parsers: [{ pluginRef: queue-scorer }] }",
      `epp.yaml:4:31: requestHandler.parsers[0].pluginRef is "queue-scorer" but must be a plug-in for parsing requests.`
    ],
    [
      "featureGates: [fastPath]",
      `epp.yaml:3:16: featureGates[0] is "fastPath" but the gates are flowControl and haPopulateNonLeaderDatastore, =true or =false.`
    ],
    [
      "flowControl: { defaultRequestTTL: soon }",
      `epp.yaml:3:16: flowControl.defaultRequestTTL is "soon" but must be a duration such as 60s, 1m30s or 200ms.`
    ],
    [
      "flowControl: { maxRequests: lots }",
      `epp.yaml:3:16: flowControl.maxRequests is "lots" but must be a quantity such as 500, 1k or 10Gi.`
    ],
    [
      "flowControl: { enableEviction: true }",
      "epp.yaml:3:16: flowControl.enableEviction: must be false: running requests are never taken from a pod; give them " +
      "a lower priority instead."
    ],
    ["plugin: []", "epp.yaml:3:1: plugin is not a setting. Did you mean plugins?"]
  ])("%j", (body, message) => {
    expect(refused(body)).toBe(message)
  })

  test("all of it at once", () => {
    expect(refused("plugins: [{ type: a }, { type: latency-scorer }]")).toStartWith("2 settings are wrong:")
  })
})
