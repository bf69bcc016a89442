import { dataLayer } from "./dataLayer.ts"
import { filters } from "./filters.ts"
import type { LlmdPlugin } from "./LlmdPlugin.ts"
import { pickersAndHandlers } from "./pickersAndHandlers.ts"
import { producers } from "./producers.ts"
import { requests } from "./requests.ts"
import { scorers } from "./scorers.ts"

/** Types that the gateway has something for. Source: registerInTreePlugins of llm-d-router ebab6879 (v0.10.0 and later). */
export const catalog: ReadonlyMap<string, LlmdPlugin> = new Map(
  [...filters, ...scorers, ...pickersAndHandlers, ...producers, ...dataLayer, ...requests].map((plugin) => [
    plugin.type,
    plugin
  ])
)
