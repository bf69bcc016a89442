import type { PickContext } from "../core/Policy.ts"

/** The candidate with the lowest cost; ties at random. `cost` is made once by the policy, so a pick allocates nothing. */
export const leastCost = (context: PickContext, cost: (context: PickContext, row: number) => number): number => {
  let best = -1
  let lowest = Number.POSITIVE_INFINITY
  let ties = 0
  for (let i = 0; i < context.candidateCount; i++) {
    const row = context.candidates[i] ?? 0
    const here = cost(context, row)
    if (best < 0 || here < lowest) {
      best = row
      lowest = here
      ties = 1
    } else if (here === lowest) {
      ties++
      if (context.random() * ties < 1) best = row
    }
  }
  return best
}
