import type { Counter } from "./instruments.ts"
import type { MetricRegistry } from "./MetricRegistry.ts"

const outcomes = ["begun", "whole", "broken"] as const
const reasons = ["limit", "no-tokens", "not-text", "refused", "length", "no-pod"] as const

/** What became of streams that lost their pod after their client had seen some of them. */
export const rescueMetrics = (registry: MetricRegistry) => {
  const rescues = registry.counter(
    "warmroute_rescues_total",
    "Streams that lost their pod and go on at another: begun, and how they ended: whole, broken.",
    ["outcome"]
  )
  const denials = registry.counter(
    "warmroute_rescues_denied_total",
    `Streams that lost their pod and went on nowhere, by why: ${reasons.join(", ")}.`,
    ["why"]
  )
  const byOutcome = childrenOf(rescues, outcomes)
  const byReason = childrenOf(denials, reasons)
  return {
    rescued: (outcome: typeof outcomes[number]): void => byOutcome[outcome].add(),
    rescueDenied: (why: typeof reasons[number]): void => byReason[why].add()
  }
}

const childrenOf = <const Name extends string>(
  family: { readonly child: (name: string) => Counter },
  names: ReadonlyArray<Name>
): Record<Name, Counter> => Object.fromEntries(names.map((name) => [name, family.child(name)])) as Record<Name, Counter>
