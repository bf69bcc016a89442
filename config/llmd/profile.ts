import type { PluginDescription } from "../../src/policies/registry.ts"
import type { SettingPath } from "../ConfigSource.ts"
import { didYouMean } from "../didYouMean.ts"
import type { EndpointPickerConfig } from "./EndpointPickerConfig.ts"
import { hasFlowControl, shedsByUtilization } from "./flowControl.ts"
import type { ListedPlugin, LlmdPlugin, PluginUse } from "./LlmdPlugin.ts"

/** A plug-in of the list with what it becomes. */
export interface ReadPlugin extends ListedPlugin {
  /** Its place in the list. */
  readonly index: number
  readonly known: LlmdPlugin
  readonly use: PluginUse
}

/** Takes a note of something that is wrong. */
export type Wrong = (path: SettingPath, problem: string, fix?: string | undefined) => void

interface Profile {
  readonly filters: ReadonlyArray<PluginDescription>
  readonly scorers: ReadonlyArray<PluginDescription & { readonly weight: number }>
  readonly picker: PluginDescription
}

/** The one profile as a policy of ours. */
export const profileOf = (
  config: EndpointPickerConfig,
  plugins: ReadonlyArray<ReadPlugin>,
  wrong: Wrong
): Readonly<Record<string, unknown>> => {
  const { schedulingProfiles: [first, second] } = config
  if (second !== undefined) {
    wrong(
      ["schedulingProfiles", 1],
      `is a second profile, "${second.name}", and there is one for every request`,
      "Leave the profile that decodes; the others are for disaggregated requests."
    )
  }
  const found = first === undefined
    ? plugins.map((plugin) => ({ plugin, weight: 1 }))
    : first.plugins.flatMap(({ pluginRef, weight = 1 }, index) => {
      const plugin = referenced(config, plugins, pluginRef, ["schedulingProfiles", 0, "plugins", index], wrong)
      return plugin === undefined ? [] : [{ plugin, weight }]
    })
  const chosen = found.filter(({ plugin }) => plugin.type !== ADMITTER)
  const pickers = chosen.flatMap(({ plugin: { use } }) => use.picker ?? [])
  if (pickers.length > 1) wrong(["schedulingProfiles", 0], "has more than one picker", "Leave one of them.")
  // As in llm-d, a picker that is only listed serves a profile that names none.
  const picker = pickers[0] ?? plugins.find(({ use }) => use.picker !== undefined)?.use.picker
  return policyOf({
    filters: [...admitters(config, plugins), ...chosen.flatMap(({ plugin: { use } }) => use.filter ?? [])],
    scorers: chosen.flatMap(({ plugin: { use }, weight }) =>
      use.scorer === undefined ? [] : [{ ...use.scorer, weight }]
    ),
    picker: picker ?? { type: "max-score-picker" }
  })
}

const referenced = (
  { plugins: all }: EndpointPickerConfig,
  plugins: ReadonlyArray<ReadPlugin>,
  name: string,
  path: SettingPath,
  wrong: Wrong
): ReadPlugin | undefined => {
  const names = all.map((plugin) => plugin.name ?? plugin.type)
  if (!names.includes(name)) {
    const near = didYouMean(name, names)
    wrong(
      [...path, "pluginRef"],
      `is "${name}", which is not listed`,
      near === undefined ? undefined : `Did you mean ${near}?`
    )
  }
  return plugins.find((plugin) => plugin.name === name)
}

/** Without scorers every pod has the same sum. */
const policyOf = ({ filters, picker, scorers }: Profile): Readonly<Record<string, unknown>> =>
  filters.length === 0 && scorers.length === 0 ? { type: "random" } : { type: "weighted", filters, scorers, picker }

/**
 * What comes before the profile's filters: admitters, which work by being listed, and llm-d's shedding while its queue is
 * off: a negative priority is refused when the pods' mean saturation reaches 1. At this power the chance is a step.
 */
const admitters = (
  config: EndpointPickerConfig,
  plugins: ReadonlyArray<ReadPlugin>
): ReadonlyArray<PluginDescription> => {
  const listed = plugins.flatMap(({ type, use }) => type === ADMITTER ? use.filter ?? [] : [])
  if (hasFlowControl(config) || !shedsByUtilization(config)) return listed
  const name = config.flowControl?.saturationDetector?.pluginRef ?? config.saturationDetector?.pluginRef ??
    "utilization-detector"
  const detector = plugins.find((plugin) => plugin.name === name)
  const { kvCacheUtilThreshold, queueDepthThreshold } = (detector?.parameters ?? {}) as Readonly<
    Record<string, unknown>
  >
  const thresholds = {
    ...(queueDepthThreshold === undefined ? {} : { queueDepthThreshold }),
    ...(kvCacheUtilThreshold === undefined ? {} : { kvCacheUtilThreshold })
  }
  return [{ type: ADMITTER, parameters: { ...thresholds, power: STEP_POWER, k: 1 } }, ...listed]
}

const ADMITTER = "probabilistic-admitter"
const STEP_POWER = 1e6
