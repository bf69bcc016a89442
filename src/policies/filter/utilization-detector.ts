import { Schema } from "effect"
import { preferRows } from "../keepRows.ts"
import type { Filter } from "../Plugin.ts"

export const type = "utilization-detector"

export const Config = Schema.Struct({
  /** A pod with so many waiting requests is saturated. */
  queueDepthThreshold: Schema.optionalWith(Schema.Int.pipe(Schema.positive()), { default: () => 5 }),
  /** So is one with this share of its KV cache in use. */
  kvCacheUtilThreshold: Schema.optionalWith(Schema.Number.pipe(Schema.greaterThan(0), Schema.lessThanOrEqualTo(1)), {
    default: () => 0.8
  }),
  /** Both limits are so much higher here, as a share. */
  headroom: Schema.optionalWith(Schema.NonNegative, { default: () => 0 }),
  /** A pod that told nothing for so many seconds counts as saturated; 0: however long ago it was. */
  stalenessS: Schema.optionalWith(Schema.NonNegative, { default: () => 0.2 })
})
export type Config = typeof Config.Type

/** Keeps the pods that are not saturated by their last scrape; all of them when all are. Source: llm-d utilization-detector. */
export const make = (config: Config): Filter => {
  const queueMax = config.queueDepthThreshold * (1 + config.headroom)
  const kvMax = config.kvCacheUtilThreshold * (1 + config.headroom)
  return (context) => {
    const { nowS, table } = context
    preferRows(context, (row) => {
      const atS = table.observedAtS[row] ?? -1
      if (atS < 0 || (config.stalenessS > 0 && nowS - atS > config.stalenessS)) return false
      return (table.observedWaiting[row] ?? 0) < queueMax && (table.observedKvUsage[row] ?? 0) < kvMax
    })
  }
}
