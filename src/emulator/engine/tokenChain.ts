import type { BlockChain } from "../../core/BlockChain.ts"

/**
 * Chained hashes of the full blocks of a token sequence.
 * `seed` keeps apart what vLLM keeps apart: another LoRA adapter or cache salt gives other hashes for the same tokens.
 */
export const tokenChain = (tokens: ArrayLike<number>, blockSizeTokens: number, seed: number): BlockChain => {
  const length = Math.floor(tokens.length / blockSizeTokens)
  const low = new Uint32Array(length)
  const high = new Uint32Array(length)
  let a = seed | 0
  let b = ~seed
  let position = 0
  for (let block = 0; block < length; block++) {
    for (const end = position + blockSizeTokens; position < end; position++) {
      const token = tokens[position]! | 0
      a = Math.imul(a ^ token, 0x9e3779b1)
      a ^= a >>> 15
      b = Math.imul(b + token, 0x85ebca6b)
      b ^= b >>> 13
    }
    low[block] = a
    high[block] = b
  }
  return { low, high, length }
}
