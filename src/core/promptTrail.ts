import type { BlockChain } from "./BlockChain.ts"

/** Block size of the chain that a trail is cut from, whatever the pods' own is, so that all trails fit together. */
export const trailBlockTokens = 16

/** Hashes of a trail; a prompt of four million tokens has as many. */
export const trailHashesMax = 2048

const FIRST_STRIDE = 4
const TIER = 256

/**
 * Blocks from the prompt's beginning that hash `index` of a trail names. The first 256 hashes are 4 blocks apart, the
 * next 256 are 8, then 16 and so on: which blocks have a hash depends on their place alone, so two prompts that share
 * a prefix share the hashes of it, and what is lost at the end of a prefix is below 1 % of a long one.
 */
export const trailBlocks = (index: number): number => {
  const tier = Math.floor(index / TIER)
  const stride = FIRST_STRIDE * 2 ** tier
  return FIRST_STRIDE * TIER * (2 ** tier - 1) + stride * (index % TIER + 1)
}

/** A chain of `trailBlockTokens` thinned out: 32 bits of the hash at each place that `trailBlocks` names. */
export const trailOf = (chain: BlockChain): Uint32Array => {
  const trail = new Uint32Array(trailHashesMax)
  let length = 0
  while (length < trailHashesMax && trailBlocks(length) <= chain.length) {
    trail[length] = chain.low[trailBlocks(length) - 1]!
    length++
  }
  return trail.subarray(0, length)
}
