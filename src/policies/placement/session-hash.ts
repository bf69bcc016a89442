import { Schema } from "effect"
import { hashText } from "../../core/BlockHash.ts"
import type { PickContext, Policy } from "../../core/Policy.ts"
import { mix32, prefixKey } from "../hashKeys.ts"
import { onlyOrder } from "../onlyOrder.ts"
import { RowOwners } from "../RowOwners.ts"

export const type = "session-hash"

export const Config = Schema.Struct({})

/**
 * Rendezvous hashing: the pod with the highest hash of (session, pod), so that a pod that leaves moves only its own
 * sessions. Without a session key the first block of the prompt stands for it; without that either, a pod at random.
 * Load plays no part. Source: vllm-router rendezvous_hash, AIBrix session-affinity.
 */
export const make = (_: typeof Config.Type, podsMax: number): Policy => {
  const owners = new RowOwners()
  const podHashes = new Uint32Array(podsMax)
  const pick = (context: PickContext): number => {
    const key = keyOf(context)
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
  return { type, pick, explain: (context) => onlyOrder(pick(context), whyOf(context)) }
}

const whyOf = (context: PickContext): string => {
  if (context.request.sessionHash !== 0) return "the session belongs to it"
  return keyOf(context) === 0
    ? "neither a session nor a full block to go by: any pod will do"
    : "the first block of the prompt belongs to it"
}

const keyOf = (context: PickContext): number =>
  context.request.sessionHash === 0 ? prefixKey(context, 1) : context.request.sessionHash
