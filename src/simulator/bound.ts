import type { Policy } from "../core/Policy.ts"
import type { SharedCache } from "./SharedCache.ts"

/** Name by which a run is asked for with the bound in place of a policy. */
export const boundName = "bound"

/**
 * No policy can serve it, which is why only the simulator knows it: what would be reached if prefix placement cost
 * nothing. Every block ever computed on any pod is at hand on all of them, without end and without transfer time; KV of
 * running requests stays as finite as it is. So no pod has more of a prompt than another, and `inner` chooses by load.
 * Pods of the run must use `cache` as their tier.
 */
export const boundPolicy = (inner: Policy, cache: SharedCache): Policy => ({
  type: boundName,
  pick: (context) => {
    const { candidateCount, candidates, hitTokens, request, table } = context
    for (let i = 0; i < candidateCount; i++) {
      const row = candidates[i]!
      const blockSizeTokens = table.blockSizeTokens[row]!
      const cached = cache.match(request.chain(blockSizeTokens)) * blockSizeTokens
      // vLLM always computes at least the last prompt token.
      hitTokens[row] = Math.min(cached, request.promptTokens - 1)
    }
    return inner.pick(context)
  }
})
