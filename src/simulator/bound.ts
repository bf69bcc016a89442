import type { Policy } from "../core/Policy.ts"
import type { SharedCache } from "./SharedCache.ts"

/** Name by which a run is asked for with the bound in place of a policy. */
export const boundName = "bound"

/**
 * What would be reached if keeping prefixes cost nothing: no gateway can serve it, so only the simulator knows it.
 * Every block ever computed on any pod is at hand on all of them at once, is never evicted and takes none of their
 * KV memory; only what a request computes itself, its output included, takes up that, as on real pods. So no pod has
 * more of a prompt than another, and `inner` chooses by load, with the pods' true KV use before its eyes.
 * Pods of the run must have `cache` as their tier; `usedTokens` is told a pod's id.
 */
export const boundPolicy = (inner: Policy, cache: SharedCache, usedTokens: (id: string) => number): Policy => ({
  type: boundName,
  pick: (context) => {
    const { candidateCount, candidates, hitTokens, request, table } = context
    for (let i = 0; i < candidateCount; i++) {
      const row = candidates[i]!
      const blockSizeTokens = table.blockSizeTokens[row]!
      const cached = cache.match(request.chain(blockSizeTokens)) * blockSizeTokens
      // vLLM always computes at least the last prompt token.
      hitTokens[row] = Math.min(cached, request.promptTokens - 1)
      table.usedTokens[row] = usedTokens(table.addresses[row]?.id ?? "")
    }
    return inner.pick(context)
  }
})
