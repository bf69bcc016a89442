import type { ConfigIssue } from "./ConfigError.ts"

export type SettingPath = ReadonlyArray<PropertyKey>

/** Settings from one place, as they were written there. */
export interface ConfigSource {
  /** `gateway.yaml`, `--pods`, `WARMROUTE_PODS`: what a message calls it. */
  readonly name: string
  readonly values: Readonly<Record<string, unknown>>
  /** `line:column` of the deepest part of a path that the source holds. */
  readonly placeOf?: ((path: SettingPath) => string | undefined) | undefined
}

type Tree = Readonly<Record<string, unknown>>

export const isTree = (value: unknown): value is Tree =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** These are taken as a whole from one source: half of one policy and half of another make no sense. */
const atomic = new Set(["policy", "hardware"])

/** One tree out of all sources, the first of them strongest. Lists are replaced, sections merged. */
export const mergeSources = (sources: ReadonlyArray<ConfigSource>): Tree =>
  sources.reduceRight<Tree>((weaker, source) => merge(weaker, longForm(source.values)), {})

const merge = (weaker: Tree, stronger: Tree): Tree => {
  const merged: Record<string, unknown> = { ...weaker }
  for (const [key, value] of Object.entries(stronger)) {
    const below = weaker[key]
    merged[key] = isTree(value) && isTree(below) && !atomic.has(key) ? merge(below, value) : value
  }
  return merged
}

/** Short forms spelt out: `policy: random` is `policy: { type: random }`. A key without a value is one not written. */
const longForm = (values: Tree): Tree => {
  const tree: Record<string, unknown> = { ...withoutGaps(values) as Tree }
  if (typeof tree["policy"] === "string") tree["policy"] = { type: tree["policy"] }
  if (typeof tree["hardware"] === "string") tree["hardware"] = { preset: tree["hardware"] }
  const pods = tree["pods"]
  if (Array.isArray(pods)) tree["pods"] = pods.map((pod) => typeof pod === "string" ? { url: pod } : pod)
  return tree
}

const withoutGaps = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutGaps)
  if (!isTree(value)) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, each]) =>
      each === null || each === undefined ? [] : [[key, withoutGaps(each)]]
    )
  )
}

/** Parts of a path that a value has. */
const depthIn = (value: unknown, path: SettingPath): number => {
  let here = value
  for (const [depth, key] of path.entries()) {
    const there: unknown = typeof here === "object" && here !== null ? Reflect.get(here, key) : undefined
    if (there === undefined) return depth
    here = there
  }
  return path.length
}

/** Says where a setting was written: in the strongest source that holds most of its path. */
export const issueAt = (
  sources: ReadonlyArray<ConfigSource>,
  path: SettingPath,
  problem: string,
  fix?: string | undefined
): ConfigIssue => {
  let source: ConfigSource | undefined
  let deepest = -1
  for (const each of sources) {
    const depth = depthIn(longForm(each.values), path)
    if (depth > deepest) {
      source = each
      deepest = depth
    }
  }
  // What the source has in short form has no inner part to name.
  const isShort = deepest === path.length && depthIn(source?.values, path) < deepest
  const shown = isShort ? path.slice(0, depthIn(source?.values, path)) : path
  const place = source?.placeOf?.(shown)
  return {
    source: `${source?.name ?? "configuration"}${place === undefined ? "" : `:${place}`}`,
    key: pathText(shown),
    problem,
    fix
  }
}

export const pathText = (path: SettingPath): string =>
  path.reduce<string>((text, key) => {
    if (typeof key === "number" || /^\d+$/.test(String(key))) return `${text}[${String(key)}]`
    if (!/^[\w-]+$/.test(String(key))) return `${text}[${JSON.stringify(String(key))}]`
    return text === "" ? String(key) : `${text}.${String(key)}`
  }, "")
