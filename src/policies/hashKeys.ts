import type { PickContext } from "../core/Policy.ts"

/** Mixes two 32-bit values into one, each bit of the answer depending on all bits of both. */
export const mix32 = (a: number, b: number): number => {
  let x = a ^ Math.imul(b ^ 0x9e3779b9, 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return (x ^ (x >>> 16)) >>> 0
}

/**
 * Hash of the prompt up to the block in which token number `tokens` lies, or up to the last full block when that comes
 * first; 0: the prompt has no full block. Where pods differ in block size the smallest one counts.
 */
export const prefixKey = (context: PickContext, tokens: number): number => {
  const { table, candidates, request } = context
  let blockSizeTokens = 0
  for (let i = 0; i < context.candidateCount; i++) {
    const size = table.blockSizeTokens[candidates[i] ?? 0] ?? 0
    if (size > 0 && (blockSizeTokens === 0 || size < blockSizeTokens)) blockSizeTokens = size
  }
  if (blockSizeTokens === 0) return 0
  const chain = request.chain(blockSizeTokens)
  if (chain.length === 0) return 0
  const blocks = Math.min(chain.length, Math.max(1, Math.ceil(tokens / request.tokensPerBlock(blockSizeTokens))))
  return mix32(chain.low[blocks - 1] ?? 0, chain.high[blocks - 1] ?? 0) || 1
}
