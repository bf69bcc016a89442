import { Schema } from "effect"
import type { PickContext } from "../../core/Policy.ts"
import type { Scorer } from "../Plugin.ts"
import { RecentRows } from "../RecentRows.ts"
import { RowOwners } from "../RowOwners.ts"

export const type = "no-hit-lru-scorer"

export const Config = Schema.Struct({
  /** Pods whose last cold request is remembered. */
  lruSize: Schema.optionalWith(Schema.Int.pipe(Schema.positive()), { default: () => 1024 })
})
export type Config = typeof Config.Type

/** Score of every pod for a request that some pod has a hit for. */
const WARM_SCORE = 0.5

/**
 * Sends requests that no pod holds any of to the pod whose last such request is longest ago: 1 − rank/(n − 1), where
 * pods that never had one come first in the order of the candidates. Any other request scores 0.5 everywhere.
 * Source: llm-d no-hit-lru-scorer.
 */
export const make = (config: Config, podsMax: number): Scorer => {
  const recent = new RecentRows(podsMax, config.lruSize)
  const owners = new RowOwners()
  /** By row: candidate number + 1 of a pod that had a cold request before; 0 between picks. */
  const seen = new Uint32Array(podsMax)
  let cold = false

  const score = (context: PickContext, scores: Float64Array): void => {
    const { table, candidates, candidateCount } = context
    cold = isCold(context)
    if (!cold || candidateCount === 1) {
      scores.fill(cold ? 1 : WARM_SCORE, 0, candidateCount)
      return
    }
    let rank = 0
    for (let i = 0; i < candidateCount; i++) {
      const row = candidates[i] ?? 0
      if (owners.changed(table, row)) recent.forget(row)
      if (recent.has(row)) seen[row] = i + 1
      else scores[i] = 1 - rank++ / (candidateCount - 1)
    }
    for (let row = recent.oldest; row >= 0; row = recent.after(row)) {
      const number = seen[row] ?? 0
      if (number === 0) continue
      scores[number - 1] = 1 - rank++ / (candidateCount - 1)
      seen[row] = 0
    }
  }

  const placed = (context: PickContext, row: number): void => {
    if (!cold) return
    if (owners.changed(context.table, row)) recent.forget(row)
    recent.touch(row)
  }

  return Object.assign(score, { placed })
}

const isCold = (context: PickContext): boolean => {
  for (let i = 0; i < context.candidateCount; i++) {
    if ((context.hitTokens[context.candidates[i] ?? 0] ?? 0) > 0) return false
  }
  return true
}
