import { Schema } from "effect"
import { isTree, pathText } from "../ConfigSource.ts"
import { type GatewayConfig, GatewayConfigSchema } from "../GatewayConfig.ts"
import { beginsOrEnds, isSecret, whenTaken } from "./takesEffect.ts"

/** One setting that differs between two configurations, in the words of the YAML. */
export interface SettingChange {
  /** `limits.retriesMax`, `pods["http://10.0.0.7:8000"]`, `auth.keys.ci.models`. */
  readonly setting: string
  /** added and removed: an entry of a list, a pod for instance. */
  readonly kind: "changed" | "added" | "removed"
  /** null: not set, or an entry that was added. */
  readonly from: string | null
  /** null: not set, or an entry that was removed. */
  readonly to: string | null
  readonly takesEffect: "now" | "after a restart"
}

/** What tells the entries of these lists apart, so that a pod is added or removed and not the whole list changed. */
const nameInList: Readonly<Record<string, string>> = { pods: "url", "auth.keys": "name" }

/** Longest text of a value. */
const VALUE_CHARS_MAX = 200

const HIDDEN = "(hidden)"

type Tree = Readonly<Record<string, unknown>>

interface Place {
  /** With the names of list entries. */
  readonly shown: ReadonlyArray<string>
  /** Without them, as the schema has it. */
  readonly schema: ReadonlyArray<string>
  /** It lies in a section that can't begin or end now. */
  readonly waits?: boolean | undefined
}

const written = Schema.encodeSync(GatewayConfigSchema)

/** Every setting that differs, in the order of the configuration; empty when both say the same. */
export const configDiff = (before: GatewayConfig, after: GatewayConfig): ReadonlyArray<SettingChange> =>
  changesIn({ shown: [], schema: [] }, written(before), written(after))

const changesIn = (place: Place, before: unknown, after: unknown): ReadonlyArray<SettingChange> => {
  if (Bun.deepEquals(before, after, true)) return []
  const name = nameInList[place.schema.join(".")]
  if (name !== undefined) return changesInList(place, byName(before, name), byName(after, name))
  if (areSections(before, after)) {
    const waits = place.waits === true || beginsOrEnds(place.schema, before, after)
    return changesInSection({ ...place, waits }, (before ?? {}) as Tree, (after ?? {}) as Tree)
  }
  const hidden = isSecret(place.schema)
  const text = (value: unknown): string | null => value === undefined ? null : hidden ? HIDDEN : valueText(value)
  return [change(place, "changed", text(before), text(after))]
}

/** One of them may be missing. */
const areSections = (...values: ReadonlyArray<unknown>): boolean =>
  values.some(isPlain) && values.every((value) => value === undefined || isPlain(value))

/** A duration is an object too, but no section. */
const isPlain = (value: unknown): boolean => isTree(value) && Object.getPrototypeOf(value) === Object.prototype

const changesInSection = (place: Place, before: Tree, after: Tree): ReadonlyArray<SettingChange> =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key) =>
    changesIn({ ...place, shown: [...place.shown, key], schema: [...place.schema, key] }, before[key], after[key])
  )

const changesInList = (
  { schema, shown }: Place,
  before: ReadonlyMap<string, Tree>,
  after: ReadonlyMap<string, Tree>
): ReadonlyArray<SettingChange> =>
  [...new Set([...before.keys(), ...after.keys()])].flatMap((name) => {
    const place = { schema, shown: [...shown, name] }
    const [was, is] = [before.get(name), after.get(name)]
    if (was !== undefined && is !== undefined) return changesInSection(place, was, is)
    return [change(place, was === undefined ? "added" : "removed", null, null)]
  })

const byName = (list: unknown, name: string): ReadonlyMap<string, Tree> =>
  new Map((Array.isArray(list) ? list : []).map((entry: Tree) => [String(entry[name]), entry]))

const change = (
  { schema, shown, waits }: Place,
  kind: SettingChange["kind"],
  from: string | null,
  to: string | null
): SettingChange => ({
  setting: pathText(shown),
  kind,
  from,
  to,
  takesEffect: whenTaken(schema) === "live" && waits !== true ? "now" : "after a restart"
})

const valueText = (value: unknown): string => {
  const text = typeof value === "string" ? value : JSON.stringify(value)
  return text.length > VALUE_CHARS_MAX ? `${text.slice(0, VALUE_CHARS_MAX)}…` : text
}

/** `limits.retriesMax: 2 -> 3`, `pods["http://10.0.0.9:8000"] added`. */
export const changeText = ({ from, kind, setting, takesEffect, to }: SettingChange): string => {
  const what = kind === "changed" ? `${setting}: ${from ?? "not set"} -> ${to ?? "not set"}` : `${setting} ${kind}`
  return takesEffect === "now" ? what : `${what} (takes effect after a restart)`
}

/** What runs after a reload: the settings of `next`, but those that take a restart as they are now. */
export const runningConfig = (running: GatewayConfig, next: GatewayConfig): GatewayConfig =>
  mixed([], running, next) as GatewayConfig

const mixed = (path: ReadonlyArray<string>, running: unknown, next: unknown): unknown => {
  if (beginsOrEnds(path, running, next)) return running
  const when = whenTaken(path)
  if (when !== undefined) return when === "live" ? next : running
  if (!areSections(running, next)) return path.length === 0 ? next : running
  const [was, is] = [(running ?? {}) as Tree, (next ?? {}) as Tree]
  const entries = [...new Set([...Object.keys(was), ...Object.keys(is)])].map((key) =>
    [key, mixed([...path, key], was[key], is[key])] as const
  ).filter(([, value]) => value !== undefined)
  return entries.length === 0 && next === undefined ? undefined : Object.fromEntries(entries)
}
