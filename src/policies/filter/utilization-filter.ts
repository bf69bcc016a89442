import { Schema } from "effect"
import type { PodTable } from "../../core/PodTable.ts"
import type { Filter } from "../Plugin.ts"

export const type = "utilization-filter"

const Condition = Schema.Struct({
  /** `active-requests` are our own; the other three are the pod's, as scraped. */
  metric: Schema.Literal("active-requests", "running-requests", "waiting-queue", "kv-cache-utilization"),
  /** Pods above it are refused. */
  maxValue: Schema.NonNegative
})
type Condition = typeof Condition.Type

export const Config = Schema.Struct({
  /** All of them must hold. */
  conditions: Schema.Array(Condition).pipe(Schema.minItems(1)),
  /** Keep every pod when none would be left; otherwise the request is refused. */
  fallbackOnEmpty: Schema.optionalWith(Schema.Boolean, { default: () => false })
})
export type Config = typeof Config.Type

/** Keeps the pods whose utilization is at most that of every condition. Source: llm-d utilization-filter. */
export const make = ({ conditions, fallbackOnEmpty }: Config): Filter => (context) => {
  const { table, candidates } = context
  let kept = 0
  for (let i = 0; i < context.candidateCount; i++) {
    if (allHold(conditions, table, candidates[i] ?? 0)) kept++
  }
  if (kept === context.candidateCount || (kept === 0 && fallbackOnEmpty)) return
  kept = 0
  for (let i = 0; i < context.candidateCount; i++) {
    const row = candidates[i] ?? 0
    if (allHold(conditions, table, row)) candidates[kept++] = row
  }
  context.candidateCount = kept
}

const allHold = (conditions: ReadonlyArray<Condition>, table: PodTable, row: number): boolean => {
  for (const { metric, maxValue } of conditions) if (utilization(table, row, metric) > maxValue) return false
  return true
}

const utilization = (table: PodTable, row: number, metric: Condition["metric"]): number => {
  switch (metric) {
    case "active-requests":
      return (table.decoding[row] ?? 0) + (table.prefilling[row] ?? 0)
    case "running-requests":
      return table.observedRunning[row] ?? 0
    case "waiting-queue":
      return table.observedWaiting[row] ?? 0
    case "kv-cache-utilization":
      return table.observedKvUsage[row] ?? 0
  }
}
