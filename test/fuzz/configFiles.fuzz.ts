import { describe, expect, test } from "bun:test"
import { Either, FastCheck as fc } from "effect"
import { readFileSync } from "node:fs"
import type { ConfigError } from "../../config/ConfigError.ts"
import { decodeConfig } from "../../config/decodeConfig.ts"
import type { GatewayConfig } from "../../config/GatewayConfig.ts"
import { isLlmdConfig } from "../../config/llmd/EndpointPickerConfig.ts"
import { translateLlmd } from "../../config/llmd/translate.ts"
import { environmentSources, flagSources, variableNames } from "../../config/textSources.ts"
import { yamlSource } from "../../config/yamlSource.ts"
import { graftedJson, hostileText, inheritedNames, plan, propertyTimeoutMs, yamlWords } from "./fuzz.ts"

const textOf = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8")

/** The example by its sections, each a file of its own. */
const sections = textOf("../config/examples/gateway.yaml").split(/\n(?=\w)/).filter((text) => /^\w+:/.test(text))
const own = [...sections, "pods: [http://10.0.0.7:8000]\npolicy: random\nlisten: { port: 8080 }\n"]
const llmd = ["optimized-baseline-v0.8.yaml", "precise-prefix-cache.yaml", "flow-control.yaml"].map((name) =>
  textOf(`fixtures/llmd/${name}`)
)
const words = [
  ...yamlWords,
  "null",
  "1e400",
  "-1",
  ".nan",
  "5 seconds",
  "\u0000",
  ...inheritedNames.map((name) => `\n${name}: {a: 1}\n`)
]

const expectReasons = (error: ConfigError): void => {
  expect(error.issues.length).toBeGreaterThan(0)
  for (const { problem, source } of error.issues) expect([source, problem]).not.toContain("")
  expect(error.message.length).toBeGreaterThan(10)
}

const settle = (read: Either.Either<GatewayConfig, ConfigError>): void => {
  if (Either.isLeft(read)) return expectReasons(read.left)
  expect(read.right.listen.port >= 0 && read.right.listen.port <= 65_535).toBe(true)
  expect(read.right.limits.bodyBytesMax).toBeGreaterThan(0)
}

describe("a configuration that may be none", () => {
  test("as YAML is taken or says what is wrong and where", () => {
    fc.assert(
      fc.property(hostileText(own, words), (text) => {
        const source = yamlSource("gateway.yaml", text)
        if (Either.isLeft(source)) return expectReasons(source.left)
        settle(decodeConfig([source.right]))
      }),
      plan("yaml", 0.5)
    )
  }, propertyTimeoutMs)

  test("as values with strangers among them is taken or says what is wrong", () => {
    const values = own.map((text) => Either.getOrThrow(yamlSource("gateway.yaml", text)).values)
    fc.assert(
      fc.property(graftedJson(values, ["policy", "hardware", "pods", "listen", "type", "parameters"]), (json) => {
        const source = yamlSource("gateway.json", json)
        if (Either.isLeft(source)) return expectReasons(source.left)
        settle(decodeConfig([source.right]))
      }),
      plan("yaml", 0.5)
    )
  }, propertyTimeoutMs)

  test("of llm-d is translated or says what is wrong and where", () => {
    fc.assert(
      fc.property(hostileText(llmd, [...words, "type: queue-scorer\n", "pluginRef: x\n", "weight: -1\n"]), (text) => {
        const source = yamlSource("epp.yaml", text)
        if (Either.isLeft(source)) return expectReasons(source.left)
        if (!isLlmdConfig(source.right.values)) return
        const translated = translateLlmd(source.right)
        if (Either.isLeft(translated)) return expectReasons(translated.left)
        settle(decodeConfig([translated.right.source]))
      }),
      plan("llmdConfig", 0.6)
    )
  }, propertyTimeoutMs)

  test("of llm-d with strange values is translated or says what is wrong", () => {
    const values = llmd.map((text) => Either.getOrThrow(yamlSource("epp.yaml", text)).values)
    const names = ["plugins", "type", "parameters", "schedulingProfiles", "pluginRef", "weight", "name"]
    fc.assert(
      fc.property(graftedJson(values, names), (json) => {
        const source = yamlSource("epp.json", json)
        if (Either.isLeft(source)) return expectReasons(source.left)
        const translated = translateLlmd(source.right)
        if (Either.isLeft(translated)) return expectReasons(translated.left)
        settle(decodeConfig([translated.right.source]))
      }),
      plan("llmdConfig", 0.4)
    )
  }, propertyTimeoutMs)

  test.each(["[", "{a: ", "- ", "? ", "? - ", "&a [*a, ", "!a ", "a:\n "])("of nothing but %p says so", (opener) => {
    for (const count of [40, 1_000, 20_000]) {
      expect(Either.isLeft(Either.flatMap(yamlSource("f", opener.repeat(count)), (source) => decodeConfig([source]))))
        .toBe(true)
    }
  })
})

test("settings from flags and variables are taken or say what is wrong", () => {
  const text = hostileText(["127.0.0.1:8080", "[::1]:80", "http://a:1,http://b:2", "random", "5 seconds", "off"], [
    ":",
    ",",
    " ",
    "[",
    "99999",
    "-1",
    "1e3",
    "0x10",
    "true",
    "\n",
    ...inheritedNames
  ])
  const name = fc.constantFrom(...variableNames, "WARMROUTE_", "WARMROUTE_LISTEN_PROT", "WARMROUTE_SERVICE_PORT")
  const flagName = fc.constantFrom("pods", "port", "listen", "policy", "hardware", "snapshot", "insecure", "logLevel")
  fc.assert(
    fc.property(
      fc.array(fc.tuple(flagName, text), { maxLength: 3 }),
      fc.array(fc.tuple(name, text), { maxLength: 3 }),
      (flags, variables) => {
        const said = [flagSources(Object.fromEntries(flags)), environmentSources(Object.fromEntries(variables))]
        for (const { problem } of said.flatMap(({ issues }) => issues)) expect(problem).not.toBe("")
        settle(decodeConfig(said.flatMap(({ sources }) => sources)))
      }
    ),
    plan("settings")
  )
}, propertyTimeoutMs)
