import type { BlockChain } from "../../core/BlockChain.ts"

/** A store of KV blocks outside an engine's own. Blocks go by the two halves of their chained hash. */
export interface KvTier {
  /** Blocks of the chain that are there, contiguous from the first. */
  readonly match: (chain: BlockChain) => number
  readonly add: (low: number, high: number) => void
}
