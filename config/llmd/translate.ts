import { Either, Schema } from "effect"
import { ConfigError, type ConfigIssue } from "../ConfigError.ts"
import { type ConfigSource, issueAt, mergeSources, type SettingPath } from "../ConfigSource.ts"
import { explainIssues } from "../decodeConfig.ts"
import { didYouMean } from "../didYouMean.ts"
import { catalog } from "./catalog.ts"
import { EndpointPickerConfig } from "./EndpointPickerConfig.ts"
import { flowControlUse } from "./flowControl.ts"
import type { ListedPlugin } from "./LlmdPlugin.ts"
import type { LlmdReport, ReportRow } from "./LlmdReport.ts"
import { profileOf, type ReadPlugin, type Wrong } from "./profile.ts"
import { checkReferences } from "./references.ts"
import { refused } from "./refused.ts"

/** llm-d's file as a source of our own settings. */
export interface LlmdTranslation {
  readonly source: ConfigSource
  readonly report: LlmdReport
}

const decode = Schema.decodeUnknownEither(EndpointPickerConfig, { onExcessProperty: "error", errors: "all" })

/** Left holds everything that is wrong or refused at once, each with its line. */
export const translateLlmd = (file: ConfigSource): Either.Either<LlmdTranslation, ConfigError> => {
  const decoded = decode(file.values)
  if (Either.isLeft(decoded)) return wrongWith(explainIssues([file], EndpointPickerConfig.ast, decoded.left))
  const config = decoded.right
  const issues: Array<ConfigIssue> = []
  const wrong: Wrong = (path, problem, fix) => void issues.push(issueAt([file], path, problem, fix))
  const plugins = readPlugins(file, config, wrong, issues)
  checkReferences(config, plugins, wrong)
  const policy = profileOf(config, plugins, wrong)
  if (issues.length > 0) return wrongWith(issues)
  const flow = flowControlUse(config)
  const settings = mergeSources(
    [{ policy }, flow.settings, ...plugins.map(({ use }) => use.settings ?? {}), baseSettings].map((values) => ({
      name: file.name,
      values
    }))
  )
  return Either.right({
    source: { name: file.name, values: settings, placeOf: (path) => file.placeOf?.(originOf(path)) },
    report: {
      apiVersion: config.apiVersion,
      rows: [...plugins.map(rowOf), ...flow.rows],
      warnings: warningsOf(config, plugins)
    }
  })
}

const wrongWith = (issues: ReadonlyArray<ConfigIssue>) => Either.left(new ConfigError({ issues }))

/** What llm-d's picker does by its flags' defaults: it listens for Envoy with a certificate of its own. */
const baseSettings = {
  extproc: { listen: { port: 9002 }, tls: "self-signed", healthPort: 9003 },
  metrics: { llmdAliases: true }
}

const readPlugins = (
  file: ConfigSource,
  config: EndpointPickerConfig,
  wrong: Wrong,
  issues: Array<ConfigIssue>
): ReadonlyArray<ReadPlugin> => {
  const listed: ReadonlyArray<ListedPlugin> = config.plugins.map(({ name, parameters, type }) => ({
    name: name ?? type,
    type,
    parameters
  }))
  return listed.flatMap((plugin, index) => {
    if (listed.findIndex(({ name }) => name === plugin.name) < index) {
      wrong(["plugins", index], `repeats the name "${plugin.name}"`, "Give one of the two another name.")
    }
    const known = catalog.get(plugin.type)
    if (known === undefined) {
      wrong(["plugins", index, "type"], ...unknownType(plugin.type))
      return []
    }
    return Either.match(known.read(plugin, listed), {
      onLeft: (error) => {
        issues.push(...explainIssues([file], known.ast, error, ["plugins", index, "parameters"]))
        return []
      },
      onRight: (use) => [{ ...plugin, index, known, use }]
    })
  })
}

const unknownType = (type: string): readonly [problem: string, fix: string | undefined] => {
  const nearest = refused.get(type)
  if (nearest !== undefined) return [`is "${type}", which is not supported: ${nearest}`, undefined]
  const near = didYouMean(type, [...catalog.keys()])
  return [
    `is "${type}", which is no type of llm-d's`,
    near === undefined ? undefined : `Did you mean ${near}?`
  ]
}

/** Where a setting that was made here comes from. */
const originOf = ([section]: SettingPath): SettingPath => origins[String(section)] ?? ["kind"]

const origins: Readonly<Record<string, SettingPath>> = {
  policy: ["schedulingProfiles"],
  discovery: ["dataLayer"],
  scrape: ["plugins"],
  waiting: ["flowControl"]
}

const rowOf = ({ known, name, type, use }: ReadPlugin): ReportRow => ({
  name,
  type: name === type ? undefined : type,
  support: use.support,
  note: known.now === undefined ? use.note : `${use.note}; the type is ${known.now} now`,
  inMarginalCost: use.inMarginalCost
})

const warningsOf = (config: EndpointPickerConfig, plugins: ReadonlyArray<ReadPlugin>): ReadonlyArray<string> => [
  ...(config.apiVersion.startsWith("inference.networking")
    ? [`the apiVersion ${config.apiVersion} is deprecated; llm-d.ai/v1alpha1 is its name now`]
    : []),
  ...(plugins.some(({ type }) => type.startsWith("precise-prefix-cache"))
    ? ["KV events are not read: what pods hold is followed by the gateway's own sketches"]
    : []),
  ...(prefixCaches(plugins).size > 1
    ? ["pods have one prefix cache here: what is said of a second one, such as on CPU, counts as hits of the first"]
    : [])
]

/** Names of the producers that prefix scorers read; "" is the one that goes without saying. */
const prefixCaches = (plugins: ReadonlyArray<ReadPlugin>): ReadonlySet<unknown> =>
  new Set(
    plugins.filter(({ type }) => type === "prefix-cache-scorer").map(({ parameters }) =>
      (parameters as Readonly<Record<string, unknown>> | undefined)?.["prefixMatchInfoProducerName"] ?? ""
    )
  )
