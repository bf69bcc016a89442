import type { PickContext } from "../core/Policy.ts"

/** The candidate that holds most of the prompt; among equals the one with the lowest cost, then at random. */
export const mostHits = (context: PickContext, cost: (context: PickContext, row: number) => number): number => {
  let best = -1
  let most = -1
  let lowest = 0
  let ties = 0
  for (let i = 0; i < context.candidateCount; i++) {
    const row = context.candidates[i] ?? 0
    const hit = context.hitTokens[row] ?? 0
    if (hit < most) continue
    const here = cost(context, row)
    if (hit > most || here < lowest) {
      best = row
      most = hit
      lowest = here
      ties = 1
    } else if (here === lowest) {
      ties++
      if (context.random() * ties < 1) best = row
    }
  }
  return best
}
