import type { Counter } from "./instruments.ts"
import type { MetricRegistry } from "./MetricRegistry.ts"

const pickBoundsS = [5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2e-2]

/** What a decision says that is worth counting. */
interface Picked {
  readonly policy: string
  readonly promptTokens: number
  readonly hitTokens: number
}

/** What the scheduler counts. */
export const makePickMetrics = (registry: MetricRegistry) => {
  const picks = registry.counter("warmroute_picks_total", "Picks by outcome: placed, or why not.", [
    "policy",
    "outcome"
  ])
  const seconds = registry.histogram("warmroute_pick_seconds", "Time of one pick inside the scheduler.", pickBoundsS)
    .child()
  const prompt = registry.counter(
    "warmroute_picked_prompt_tokens_total",
    "Prompt tokens of placed requests, estimated."
  )
    .child()
  const hits = registry.counter(
    "warmroute_predicted_hit_tokens_total",
    "Prompt tokens that the chosen pods' sketches held; compare with warmroute_cached_prompt_tokens_total."
  ).child()
  // A reload can bring another policy, and both the policies and the outcomes are few.
  const counters = new Map<string, Map<string, Counter>>()
  const counterOf = (policy: string, outcome: string): Counter => {
    let byOutcome = counters.get(policy)
    if (byOutcome === undefined) counters.set(policy, byOutcome = new Map())
    let counter = byOutcome.get(outcome)
    if (counter === undefined) byOutcome.set(outcome, counter = picks.child(policy, outcome))
    return counter
  }
  return {
    onPick: ({ hitTokens, policy, promptTokens }: Picked, tookMs: number): void => {
      counterOf(policy, "placed").add()
      seconds.observe(tookMs / 1000)
      prompt.add(promptTokens)
      hits.add(hitTokens)
    },
    /** `why` is one of a few words of the scheduler's. */
    onRefusal: (why: string, policy: string): void => counterOf(policy, why).add()
  }
}
