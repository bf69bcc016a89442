import { Either } from "effect"
import type { ConfigIssue } from "./ConfigError.ts"
import type { ConfigSource } from "./ConfigSource.ts"
import { didYouMean } from "./didYouMean.ts"
import { GatewayConfigSchema } from "./GatewayConfig.ts"
import { type Leaf, leavesOf } from "./schemaKeys.ts"
import { type Flags, shortForms } from "./shortForms.ts"

/** Settings read from texts, one source a flag or variable, strongest first. */
export interface TextSources {
  readonly sources: ReadonlyArray<ConfigSource>
  readonly issues: ReadonlyArray<ConfigIssue>
  /** Sentences about what was left aside. */
  readonly warnings: ReadonlyArray<string>
}

export type Environment = Readonly<Record<string, string | undefined>>

const forms = Object.entries(shortForms)

export const flagSources = (flags: Flags): TextSources =>
  collect(forms.map(([name, form]) => [form.flag, flags[name as keyof Flags], form.read]))

type Read = (text: string) => Either.Either<Readonly<Record<string, unknown>>, string>

const collect = (given: ReadonlyArray<readonly [string, string | undefined, Read]>): TextSources => {
  const sources: Array<ConfigSource> = []
  const issues: Array<ConfigIssue> = []
  for (const [name, text, read] of given) {
    if (text === undefined || text.trim() === "") continue
    Either.match(read(text.trim()), {
      onLeft: (problem) => issues.push({ source: name, key: undefined, problem }),
      onRight: (values) => sources.push({ name, values })
    })
  }
  return { sources, issues, warnings: [] }
}

/** The file that `WARMROUTE_CONFIG` names is read elsewhere. */
export const CONFIG_VARIABLE = "WARMROUTE_CONFIG"

/** `limits.bodyBytesMax` is `WARMROUTE_LIMITS_BODY_BYTES_MAX`. */
const variableOf = (leaf: Leaf): string =>
  `WARMROUTE_${leaf.path.map((key) => key.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toUpperCase()).join("_")}`

const variables: ReadonlyMap<string, Read> = new Map([
  ...forms.map(([, form]): readonly [string, Read] => [form.variable, form.read]),
  ...leavesOf(GatewayConfigSchema.ast)
    .filter(({ path, kind }) => kind !== "list" && kind !== "map" && path[0] !== "policy" && path[0] !== "hardware")
    .filter(({ path }) => path.join(".") !== "log.level")
    .map((leaf): readonly [string, Read] => [variableOf(leaf), (text) => Either.right(nested(leaf, text))])
])

/** Every variable that the gateway reads. */
export const variableNames: ReadonlyArray<string> = [CONFIG_VARIABLE, ...variables.keys()]

const nested = ({ path, kind }: Leaf, text: string): Readonly<Record<string, unknown>> =>
  path.reduceRight<unknown>((value, key) => ({ [key]: value }), scalar(kind, text)) as Record<string, unknown>

/** What is no number or truth value stays text, for the schema to refuse it by name. */
const scalar = (kind: Leaf["kind"], text: string): unknown => {
  if (kind === "number" && Number.isFinite(Number(text))) return Number(text)
  if (kind === "boolean" && /^(true|1)$/i.test(text)) return true
  if (kind === "boolean" && /^(false|0)$/i.test(text)) return false
  return text
}

/** Kubernetes gives every container such variables for a Service, and ours may well be called warmroute. */
const isServiceLink = (name: string, value: string): boolean =>
  /^(tcp|udp|sctp):\/\//.test(value) ||
  /_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name)

/** Variables that begin with WARMROUTE_. A misspelt one is an issue, one that looks like none of ours a warning. */
export const environmentSources = (environment: Environment): TextSources => {
  const ours = Object.entries(environment).filter(([name, value]) =>
    name.startsWith("WARMROUTE_") && value !== undefined && !isServiceLink(name, value)
  )
  const given = new Map(ours)
  const { sources, issues } = collect([...variables].map(([name, read]) => [name, given.get(name), read]))
  const unknown = ours.map(([name]) => name).filter((name) => name !== CONFIG_VARIABLE && !variables.has(name))
  const near = unknown.map((name) => ({ name, meant: didYouMean(name, variableNames) }))
  return {
    sources,
    issues: [
      ...issues,
      ...near.flatMap(({ name, meant }) =>
        meant === undefined
          ? []
          : [{ source: name, key: undefined, problem: "is not read", fix: `Did you mean ${meant}?` }]
      )
    ],
    warnings: near.flatMap(({ name, meant }) => meant === undefined ? [`the variable ${name} is not read`] : [])
  }
}
