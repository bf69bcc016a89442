import type { BlockPool } from "./BlockPool.ts"
import type { LeaseTable } from "./LeaseTable.ts"
import { anchorBlocks, type PrefixIndex } from "./PrefixIndex.ts"
import { anonymousBlock, decodeSketch, encodeSketch, noParent } from "./sketchFormat.ts"

/**
 * The computed blocks of a pool in their order of eviction, as bytes. Blocks still being computed are left out, and so
 * is what is beyond the capacity: requests may hold more while the pod turns out smaller than it was believed to be.
 */
export const sketchOf = (
  pool: BlockPool,
  leases: LeaseTable,
  index: PrefixIndex,
  capacityBlocks: number
): Uint8Array => {
  const all = evictionOrder(pool, leases)
  const order = all.slice(Math.max(0, all.length - capacityBlocks))
  const { length } = order
  const positions = new Int32Array(pool.node.length)
  let newestS = -Infinity
  for (let i = 0; i < length; i++) {
    positions[order[i]!] = i
    newestS = Math.max(newestS, pool.usedAtS[order[i]!]!)
  }
  const low = new Uint32Array(length)
  const high = new Uint32Array(length)
  const parent = new Int32Array(length)
  const ageS = new Float32Array(length)
  for (let i = 0; i < length; i++) {
    const block = order[i]!
    ageS[i] = newestS - pool.usedAtS[block]!
    parent[i] = anonymousBlock
    if (!pool.isCached(block)) continue
    low[i] = index.low(pool.node[block]!)
    high[i] = index.high(pool.node[block]!)
    parent[i] = pool.parent[block]! < 0 ? noParent : positions[pool.parent[block]!]!
  }
  return encodeSketch({ length, low, high, parent, ageS })
}

/** Fills an empty pool from the newest block back, until `capacityBlocks`. Returns why it stopped before, if it did. */
export const restoreSketch = (
  bytes: Uint8Array,
  pool: BlockPool,
  index: PrefixIndex,
  row: number,
  capacityBlocks: number
): string | undefined => {
  const blocks = decodeSketch(bytes, index.entriesMax)
  if (typeof blocks === "string") return blocks
  const placed = new Int32Array(blocks.length).fill(-1)
  const depths = new Int32Array(blocks.length)
  for (let i = blocks.length - 1; i >= 0 && pool.queuedCount < capacityBlocks; i--) {
    // The clock starts at 0 with the gateway, so what was used before has negative times.
    const usedAtS = -blocks.ageS[i]!
    const after = blocks.parent[i]!
    const parent = after < 0 ? noParent : placed[after]!
    const parentNode = parent < 0 ? -1 : pool.node[parent]!
    const depth = after < 0 ? 0 : depths[after]! + 1
    const below = after === noParent || parent >= 0
    const node = below ? index.add(parentNode, depth, blocks.low[i]!, blocks.high[i]!, row) : -1
    if (node < 0) {
      // Below a block that the index refused: it takes room but can't be hit.
      pool.createAnonymousFirst(usedAtS, capacityBlocks)
      continue
    }
    const twice = parent < 0 ? pool.anchor(node) >= 0 : pool.childOf(parent, node) >= 0
    if (twice || index.parent(node) !== parentNode) return "the sketch has a block twice"
    depths[i] = depth
    placed[i] = pool.createFirst(node, parent, depth % anchorBlocks === 0, usedAtS, capacityBlocks)
  }
  return undefined
}

/** The queue, then what requests hold, as if they all ended now: children before their parents throughout. */
const evictionOrder = (pool: BlockPool, leases: LeaseTable): Array<number> => {
  const order: Array<number> = []
  for (let block = pool.head; block >= 0; block = pool.after(block)) order.push(block)
  const held: Array<number> = []
  const seen = new Uint8Array(pool.node.length)
  leases.forEachBlock((deepest) => {
    const path: Array<number> = []
    for (let b = deepest; b >= 0 && seen[b] === 0; b = pool.parent[b]!) {
      seen[b] = 1
      if (pool.isComputed(b)) path.push(b)
    }
    for (let i = path.length - 1; i >= 0; i--) held.push(path[i]!)
  })
  for (let i = held.length - 1; i >= 0; i--) order.push(held[i]!)
  return order
}
