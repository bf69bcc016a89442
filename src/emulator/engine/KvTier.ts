/** A store of KV blocks beside an engine's own cache. Blocks go by the two halves of their chained hash. */
export interface KvTier {
  readonly has: (low: number, high: number) => boolean
  readonly add: (low: number, high: number) => void
}
