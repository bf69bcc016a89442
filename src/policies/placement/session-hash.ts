import { Schema } from "effect"
import { hashText } from "../../core/BlockHash.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"
import type { RequestFeatures } from "../../core/RequestFeatures.ts"
import { mix32, prefixKey } from "../hashKeys.ts"
import { onlyOrder } from "../onlyOrder.ts"
import { RowOwners } from "../RowOwners.ts"
import { readySources, sessionOf, SessionSource } from "../SessionSource.ts"

export const type = "session-hash"

export const Config = Schema.Struct({
  /** Where a session's name is looked for first; without one there, a request's own keys such as x-session-id count. */
  sources: Schema.optionalWith(Schema.Array(SessionSource), { default: () => [] })
})

/**
 * Rendezvous hashing: the pod with the highest hash of (session, pod), so that a pod that leaves moves only its own
 * sessions. The session is named by one of the `sources`, else by
 * x-session-id, session_id or prompt_cache_key. Without any the first block of the prompt stands for it; without that either, a pod at random.
 * Load plays no part. Source: vllm-router rendezvous_hash, AIBrix session-affinity.
 */
export const make = (config: typeof Config.Type, podsMax: number): Policy => {
  const owners = new RowOwners()
  const sources = readySources(config.sources)
  const podHashes = new Uint32Array(podsMax)
  const pick = (context: PickContext): number => {
    const key = keyOf(context, sources)
    const { table, candidates, candidateCount } = context
    if (key === 0) return candidates[Math.floor(context.random() * candidateCount)] ?? -1
    let best = -1
    let highest = -1
    for (let i = 0; i < candidateCount; i++) {
      const row = candidates[i] ?? 0
      if (owners.changed(table, row)) podHashes[row] = hashText(table.addresses[row]?.id ?? "")
      const hash = mix32(key, podHashes[row] ?? 0)
      if (hash > highest) {
        best = row
        highest = hash
      }
    }
    return best
  }
  return { type, pick, explain: (context) => onlyOrder(pick(context), whyOf(context, sources)) }
}

const whyOf = (context: PickContext, sources: ReadonlyArray<SessionSource>): string => {
  if (sessionKeyOf(context.request, sources) !== 0) return "the session belongs to it"
  return prefixKey(context, 1) === 0
    ? "neither a session nor a full block to go by: any pod will do"
    : "the first block of the prompt belongs to it"
}

const keyOf = (context: PickContext, sources: ReadonlyArray<SessionSource>): number => {
  const key = sessionKeyOf(context.request, sources)
  return key === 0 ? prefixKey(context, 1) : key
}

const sessionKeyOf = (request: RequestFeatures, sources: ReadonlyArray<SessionSource>): number => {
  const session = sessionOf(request.headers, sources)
  return session === "" ? request.sessionHash : hashText(session)
}
