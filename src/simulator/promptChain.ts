import type { BlockChain } from "../core/BlockChain.ts"

/** A run of tokens that is the same wherever its id appears: a system prompt, a question, an answer. */
export interface Segment {
  /** A whole number up to 2^53. */
  readonly id: number
  readonly tokens: number
}

export const tokensOf = (segments: ReadonlyArray<Segment>): number =>
  segments.reduce((sum, segment) => sum + segment.tokens, 0)

/**
 * Chained hashes of the full blocks of the segments one after the other: equal up to the block in which the first
 * token differs. `whole` covers all segments (what an engine computes), and `prefixOf` cuts it to a prompt.
 */
export const chainOf = (segments: ReadonlyArray<Segment>, blockSizeTokens: number): BlockChain => {
  const length = Math.floor(tokensOf(segments) / blockSizeTokens)
  const low = new Uint32Array(length)
  const high = new Uint32Array(length)
  let a = 0x2545f491 ^ blockSizeTokens
  let b = 0x9e3779b9
  let block = 0
  let room = blockSizeTokens
  for (const { id, tokens } of segments) {
    const idLow = id | 0
    const idHigh = (id / 4_294_967_296) | 0
    for (let offset = 0; offset < tokens && block < length;) {
      const taken = Math.min(room, tokens - offset)
      a = Math.imul(a ^ idLow, 0x85ebca77)
      a = (a << 15) | (a >>> 17)
      a = Math.imul(a ^ offset, 0x9e3779b1)
      a ^= a >>> 15
      b = Math.imul(b + idHigh ^ a, 0xc2b2ae3d)
      b = (b << 13) | (b >>> 19)
      b = Math.imul(b ^ taken, 0x27d4eb2f)
      b ^= b >>> 16
      offset += taken
      room -= taken
      if (room > 0) continue
      low[block] = a ^ (b >>> 3)
      high[block] = b
      block++
      room = blockSizeTokens
    }
  }
  return { low, high, length }
}

/** The full blocks of the first `tokens` tokens of what `whole` covers; shares its arrays. */
export const prefixOf = (whole: BlockChain, tokens: number, blockSizeTokens: number): BlockChain => ({
  low: whole.low,
  high: whole.high,
  length: Math.min(whole.length, Math.floor(tokens / blockSizeTokens))
})
