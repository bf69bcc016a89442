import { Schema } from "effect"
import { openRequests } from "../../core/cost.ts"
import type { Policy } from "../../core/Policy.ts"

export const type = "least-requests"

export const Config = Schema.Struct({})

/** Fewest requests open on the pod, ours counted at the pick and others' by the scrape; ties at random. */
export const make = (): Policy => ({
  type,
  pick: (context) => {
    let best = -1
    let fewest = Number.POSITIVE_INFINITY
    let ties = 0
    for (let i = 0; i < context.candidateCount; i++) {
      const row = context.candidates[i] ?? 0
      const requests = openRequests(context.table, row)
      if (requests < fewest) {
        best = row
        fewest = requests
        ties = 1
      } else if (requests === fewest) {
        ties++
        if (context.random() * ties < 1) best = row
      }
    }
    return best
  }
})
