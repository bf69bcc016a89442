import { Schema } from "effect"
import type { PodTable } from "../../core/PodTable.ts"
import { keepRows } from "../keepRows.ts"
import type { Filter } from "../Plugin.ts"

export const type = "concurrency-detector"

export const Config = Schema.Struct({
  /** Requests in flight at which a pod is full. */
  maxConcurrency: Schema.optionalWith(Schema.Int.pipe(Schema.positive()), { default: () => 100 }),
  /** Uncached prompt tokens in flight at which it is full. */
  maxTokenConcurrency: Schema.optionalWith(Schema.Int.pipe(Schema.positive()), { default: () => 1_000_000 }),
  /** Which of the two counts; hybrid: either. */
  concurrencyMode: Schema.optionalWith(Schema.Literal("requests", "tokens", "hybrid"), { default: () => "requests" }),
  /** The limits are so much higher here, as a share. */
  headroom: Schema.optionalWith(Schema.NonNegative, { default: () => 0 })
})
export type Config = typeof Config.Type

/** Keeps the pods that are not full by what we sent there; none may be left. Source: llm-d concurrency-detector. */
export const make = (config: Config): Filter => {
  const requestsMax = Math.trunc(config.maxConcurrency * (1 + config.headroom))
  const tokensMax = Math.trunc(config.maxTokenConcurrency * (1 + config.headroom))
  return (context) => {
    const { table } = context
    keepRows(context, (row) =>
      (config.concurrencyMode === "tokens" || requestsIn(table, row) < requestsMax) &&
      (config.concurrencyMode === "requests" || (table.prefillAheadTokens[row] ?? 0) < tokensMax))
  }
}

const requestsIn = (table: PodTable, row: number): number => (table.decoding[row] ?? 0) + (table.prefilling[row] ?? 0)
