import { Effect, Either } from "effect"
import { access, constants } from "node:fs/promises"
import { dirname, isAbsolute, join } from "node:path"
import { ConfigError, type ConfigIssue } from "./ConfigError.ts"
import { type ConfigSource, issueAt, isTree } from "./ConfigSource.ts"
import { readPlainFile, whyUnread } from "../src/discovery/plainFile.ts"
import { decodeConfig } from "./decodeConfig.ts"
import type { GatewayConfig } from "./GatewayConfig.ts"
import type { LlmdReport } from "./llmd/LlmdReport.ts"
import type { Flags } from "./shortForms.ts"
import { CONFIG_VARIABLE, type Environment, environmentSources, flagSources } from "./textSources.ts"

/** Where settings come from, strongest first: flags, environment, file; what none of them says has its default. */
export interface ConfigSources {
  readonly flags: Flags
  readonly environment: Environment
  /** The file; when undefined the one that `WARMROUTE_CONFIG` names, if any. */
  readonly configPath: string | undefined
  /** What gave `configPath`, for messages. Default `--config`. */
  readonly configPathFrom?: string
}

export interface LoadedConfig {
  readonly config: GatewayConfig
  /** The file that was read. */
  readonly configPath: string | undefined
  readonly warnings: ReadonlyArray<string>
  /** How the file was read, where it is llm-d's; undefined for one of our own. */
  readonly llmd?: LlmdReport | undefined
}

/** A configuration that is longer is something else. */
export const CONFIG_BYTES_MAX = 1024 * 1024

export const loadConfig = (given: ConfigSources): Effect.Effect<LoadedConfig, ConfigError> =>
  Effect.gen(function*() {
    const variable = given.environment[CONFIG_VARIABLE]
    const configPath = given.configPath ?? (variable === "" ? undefined : variable)
    const named = given.configPath === undefined ? CONFIG_VARIABLE : given.configPathFrom ?? "--config"
    const read = configPath === undefined ? undefined : yield* readSource(configPath, named)
    const file = read === undefined ? [] : [read.source]
    const flags = flagSources(given.flags)
    const environment = environmentSources(given.environment)
    const sources = [...flags.sources, ...environment.sources, ...file]
    const textIssues = [...flags.issues, ...environment.issues]
    const decoded = decodeConfig(sources)
    if (Either.isLeft(decoded) || textIssues.length > 0) {
      const decodeIssues = Either.isLeft(decoded) ? decoded.left.issues : []
      return yield* new ConfigError({ issues: [...textIssues, ...decodeIssues] })
    }
    const unreachable = yield* unreachableFiles(decoded.right, sources)
    if (unreachable.length > 0) return yield* new ConfigError({ issues: unreachable })
    const llmd = read?.llmd
    const warnings = [...flags.warnings, ...environment.warnings, ...llmd?.warnings ?? []]
    return { config: decoded.right, configPath, warnings, llmd }
  })

interface ReadFile {
  readonly source: ConfigSource
  readonly llmd?: LlmdReport | undefined
}

const readSource = (path: string, namedBy: string): Effect.Effect<ReadFile, ConfigError> =>
  Effect.gen(function*() {
    const refuse = (problem: string, fix?: string) =>
      new ConfigError({ issues: [{ source: namedBy, key: undefined, problem: `${path} ${problem}`, fix }] })
    const text = yield* Effect.tryPromise({
      try: () => readPlainFile(path, CONFIG_BYTES_MAX),
      catch: (cause) => refuse(...withFix(cause))
    })
    // Whoever saves a file may empty it first; what is meant is {}.
    if (text.trim() === "") return yield* refuse("is empty", "Write {} for a configuration of defaults.")
    // The parser is of use only here, and a gateway without a file starts faster for not loading it.
    const { yamlSource } = yield* Effect.promise(() => import("./yamlSource.ts"))
    const { llmd, source } = yield* ownSource(yield* yamlSource(path, text))
    return { source: { ...source, values: fromDirectory(source.values, dirname(path)) }, llmd }
  })

/** llm-d's file in our own words, any other as it is. */
const ownSource = (source: ConfigSource): Effect.Effect<ReadFile, ConfigError> =>
  Effect.gen(function*() {
    const { apiVersion, kind } = source.values
    if (apiVersion === undefined && kind === undefined) return { source }
    const { isLlmdConfig } = yield* Effect.promise(() => import("./llmd/EndpointPickerConfig.ts"))
    if (!isLlmdConfig(source.values)) return { source }
    const { translateLlmd } = yield* Effect.promise(() => import("./llmd/translate.ts"))
    const translated = yield* translateLlmd(source)
    return { source: translated.source, llmd: translated.report }
  })

const withFix = (cause: unknown): readonly [problem: string, fix?: string] => {
  const why = whyUnread(cause)
  if (cause instanceof TypeError) return [why, "Save it as UTF-8."]
  const { code } = cause as NodeJS.ErrnoException
  if (code === "ENOENT") return [why, `Relative paths start at ${process.cwd()}.`]
  if (code === "EACCES") return [why, "Give the user of the gateway read permission."]
  return [why]
}

/** Paths in a file start at the file. */
const fromDirectory = (values: ConfigSource["values"], directory: string): ConfigSource["values"] => {
  const rebase = (tree: unknown): unknown =>
    isTree(tree) && typeof tree["path"] === "string" && tree["path"] !== "" && !isAbsolute(tree["path"])
      ? { ...tree, path: join(directory, tree["path"]) }
      : tree
  const { decisionLog, discovery, snapshot } = values
  return {
    ...values,
    ...doorPathsFrom(values, directory),
    ...("snapshot" in values ? { snapshot: rebase(snapshot) } : {}),
    ...("decisionLog" in values ? { decisionLog: rebase(decisionLog) } : {}),
    ...(isTree(discovery) ? { discovery: discoveryFrom(discovery, rebase) } : {})
  }
}

/** The list of pods, and the kubeconfig. */
const discoveryFrom = (
  discovery: Readonly<Record<string, unknown>>,
  rebase: (tree: unknown) => unknown
): Readonly<Record<string, unknown>> => {
  const { file, kubernetes } = discovery
  const moved = isTree(kubernetes) && "kubeconfig" in kubernetes
    ? { ...kubernetes, kubeconfig: pathIn(rebase({ path: kubernetes["kubeconfig"] })) }
    : kubernetes
  return {
    ...discovery,
    ...("file" in discovery ? { file: rebase(file) } : {}),
    ...("kubernetes" in discovery ? { kubernetes: moved } : {})
  }
}

const pathIn = (tree: unknown): unknown => isTree(tree) ? tree["path"] : undefined

/** The files of keys, tokens and certificates. */
const doorPathsFrom = (
  { answers, auth, extproc, listen, podAccess }: ConfigSource["values"],
  directory: string
): ConfigSource["values"] => {
  const rebased = (tree: unknown, ...names: ReadonlyArray<string>): unknown => {
    if (!isTree(tree)) return tree
    const moved = names.filter((name) => typeof tree[name] === "string" && tree[name] !== "" && !isAbsolute(tree[name]))
    return { ...tree, ...Object.fromEntries(moved.map((name) => [name, join(directory, String(tree[name]))])) }
  }
  const tokens = isTree(podAccess) && isTree(podAccess["tokenPaths"]) ? podAccess["tokenPaths"] : undefined
  const access = rebased(podAccess, "tokenPath", "caPath", "certPath", "keyPath")
  const tls = isTree(listen) && "tls" in listen ? { tls: rebased(listen["tls"], "certPath", "keyPath") } : {}
  return {
    ...(answers === undefined ? {} : { answers: rebased(answers, "sessionSecretsPath") }),
    ...(auth === undefined ? {} : { auth: rebased(auth, "keysPath") }),
    ...(extproc === undefined ? {} : { extproc: rebased(extproc, "certPath", "keyPath") }),
    ...(isTree(listen) ? { listen: { ...listen, ...tls } } : {}),
    ...(isTree(access) && tokens !== undefined
      ? { podAccess: { ...access, tokenPaths: rebased(tokens, ...Object.keys(tokens)) } }
      : podAccess === undefined
      ? {}
      : { podAccess: access })
  }
}

/** A list of pods that can't be read at the start is a slip of the pen; later it would be a fault to live with. */
const unreachableFiles = (
  config: GatewayConfig,
  sources: ReadonlyArray<ConfigSource>
): Effect.Effect<ReadonlyArray<ConfigIssue>> => {
  const path = config.discovery.file?.path
  if (path === undefined) return Effect.succeed([])
  return Effect.tryPromise(() => access(path, constants.R_OK)).pipe(
    Effect.as<ReadonlyArray<ConfigIssue>>([]),
    Effect.catchAll(({ error }) => {
      const [problem, fix] = withFix(error)
      return Effect.succeed([issueAt(sources, ["discovery", "file", "path"], `${path} ${problem}`, fix)])
    })
  )
}
