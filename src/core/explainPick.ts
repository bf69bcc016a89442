import { predictTtftS } from "./cost.ts"
import type { Exclusion, PickExplanation, PodExplanation, PolicyReasons } from "./Explanation.ts"
import type { PodGuard } from "./PodGuard.ts"
import type { PickContext, Policy } from "./Policy.ts"
import type { Refusal } from "./Placement.ts"

/** What the scheduler finds before the policy is asked. */
export interface ExplainedPick {
  readonly policy: Policy
  /** Filled for the decision; its candidates are none when the request is refused. */
  readonly context: PickContext
  /** By row, also of pods that are no candidates. */
  readonly hitTokens: Float64Array
  /** Why no pod may be picked. */
  readonly refused: Refusal | undefined
  /** Why a pod is no candidate. */
  readonly exclusionOf: (row: number) => Exclusion | undefined
  readonly guard: Pick<PodGuard, "rampShare" | "isStuck">
  readonly kvShortageWeight: number
}

const refusalWords: Readonly<Record<Refusal, string>> = {
  "unknown-model": "no pod serves this model",
  "no-pod": "no pod that serves this model takes requests now",
  "too-many-open": "the gateway has as many requests open as it may (limits.openRequestsMax)",
  filtered: "the policy's filters refuse every pod"
}

/** Puts the policy's reasons beside what is known of each pod. */
export const explainPick = (pick: ExplainedPick): PickExplanation => {
  const { context, hitTokens, policy, refused } = pick
  const { request, table } = context
  const reasons = context.candidateCount === 0 ? undefined : policy.explain?.(context)
  const left = new Set(context.candidates.subarray(0, context.candidateCount))
  const row = refused === undefined ? reasons?.row ?? -1 : -1
  return {
    policy: policy.type,
    model: request.model,
    promptTokens: request.promptTokens,
    expectedOutputTokens: context.outputTokens,
    picked: table.addresses[row]?.id,
    predictedTtftS: row < 0 ? undefined : predictTtftS(context, row, pick.kvShortageWeight),
    why: (refused && refusalWords[refused]) ?? reasons?.why ?? `the policy ${policy.type} can't tell without deciding`,
    columns: reasons?.columns ?? [],
    pods: table.addresses.flatMap((address, row): ReadonlyArray<PodExplanation> =>
      address === undefined ? [] : [{
        id: address.id,
        excluded: pick.exclusionOf(row) ?? (reasons === undefined || left.has(row) ? undefined : "filtered"),
        hitTokens: hitTokens[row] ?? 0,
        uncachedTokens: request.promptTokens - (hitTokens[row] ?? 0),
        prefilling: table.prefilling[row] ?? 0,
        decoding: table.decoding[row] ?? 0,
        pickShare: pick.guard.rampShare(row, context.nowS),
        stalled: pick.guard.isStuck(row, context.nowS),
        values: valuesByKey(reasons, row)
      }]
    )
  }
}

const valuesByKey = (reasons: PolicyReasons | undefined, row: number): Readonly<Record<string, number>> => {
  const values = reasons?.values.get(row)
  if (reasons === undefined || values === undefined) return {}
  return Object.fromEntries(reasons.columns.map(({ key }, index) => [key, values[index] ?? 0]))
}
