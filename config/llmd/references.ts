import type { SettingPath } from "../ConfigSource.ts"
import { didYouMean } from "../didYouMean.ts"
import { catalog } from "./catalog.ts"
import type { EndpointPickerConfig } from "./EndpointPickerConfig.ts"
import type { LlmdPlugin, Slot } from "./LlmdPlugin.ts"
import type { ReadPlugin, Wrong } from "./profile.ts"

interface Reference {
  readonly path: SettingPath
  readonly name: string | undefined
  readonly slot: Slot
}

/** Each name that the file refers to must be listed, or go by its type, and fit where it stands. */
export const checkReferences = (
  config: EndpointPickerConfig,
  plugins: ReadonlyArray<ReadPlugin>,
  wrong: Wrong
): void => {
  // A plug-in that is wrong itself has its own message.
  const names = new Map(config.plugins.map(({ name, type }) => [name ?? type, type]))
  for (const { name, path, slot } of references(config)) {
    if (name === undefined) continue
    const plugin = plugins.find((each) => each.name === name)
    const type = names.get(name) ?? name
    const known: LlmdPlugin | undefined = plugin?.known ?? catalog.get(type)
    // Policies, parsers and detectors that go by their type need not be listed.
    const needsListing = ["filter", "scorer", "source", "extractor", "discovery"].includes(slot)
    if (!names.has(name) && (needsListing || known === undefined)) {
      const near = didYouMean(name, [...names.keys()])
      wrong(path, `names no plug-in of the list`, near === undefined ? undefined : `Did you mean ${near}?`)
    } else if (known !== undefined && !known.slots.includes(slot)) {
      wrong(path, `is "${name}" but must be a plug-in for ${slotWords[slot]}`)
    }
  }
}

const slotWords: Readonly<Record<Slot, string>> = {
  filter: "a profile",
  scorer: "a profile",
  picker: "a profile",
  handler: "profiles",
  producer: "requests",
  source: "a source of data",
  extractor: "extracting data",
  discovery: "discovery",
  parser: "parsing requests",
  fairness: "fairness",
  ordering: "the order of a queue",
  "usage-limit": "usage limits",
  detector: "detecting saturation"
}

const references = (config: EndpointPickerConfig): ReadonlyArray<Reference> => {
  const { dataLayer, flowControl, parser, requestHandler, saturationDetector } = config
  const bands = [
    ...(flowControl?.priorityBands ?? []).map((band, index) =>
      [["flowControl", "priorityBands", index], band] as const
    ),
    [["flowControl", "defaultPriorityBand"], flowControl?.defaultPriorityBand] as const,
    [["flowControl", "defaultNegativePriorityBand"], flowControl?.defaultNegativePriorityBand] as const
  ]
  return [
    ...(dataLayer?.sources ?? []).map(({ pluginRef }, index): Reference => ({
      path: ["dataLayer", "sources", index, "pluginRef"],
      name: pluginRef,
      slot: "source"
    })),
    ...(dataLayer?.sources ?? []).flatMap(({ extractors }, index) =>
      extractors.map(({ pluginRef }, at): Reference => ({
        path: ["dataLayer", "sources", index, "extractors", at, "pluginRef"],
        name: pluginRef,
        slot: "extractor"
      }))
    ),
    { path: ["dataLayer", "discovery", "pluginRef"], name: dataLayer?.discovery?.pluginRef, slot: "discovery" },
    ...bands.flatMap(([path, band]): ReadonlyArray<Reference> => [
      { path: [...path, "fairnessPolicyRef"], name: band?.fairnessPolicyRef, slot: "fairness" },
      { path: [...path, "orderingPolicyRef"], name: band?.orderingPolicyRef, slot: "ordering" }
    ]),
    {
      path: ["flowControl", "usageLimitPolicyPluginRef"],
      name: flowControl?.usageLimitPolicyPluginRef,
      slot: "usage-limit"
    },
    {
      path: ["flowControl", "saturationDetector", "pluginRef"],
      name: flowControl?.saturationDetector?.pluginRef,
      slot: "detector"
    },
    { path: ["saturationDetector", "pluginRef"], name: saturationDetector?.pluginRef, slot: "detector" },
    { path: ["parser", "pluginRef"], name: parser?.pluginRef, slot: "parser" },
    ...(requestHandler?.parsers ?? []).map(({ pluginRef }, index): Reference => ({
      path: ["requestHandler", "parsers", index, "pluginRef"],
      name: pluginRef,
      slot: "parser"
    }))
  ]
}
