import type { PodTable } from "../PodTable.ts"
import type { PrefixIndex } from "./PrefixIndex.ts"
import { ShadowKv } from "./ShadowKv.ts"

/** What a snapshot keeps of a pod's shadow KV. */
export interface SavedSketch {
  readonly blockSizeTokens: number
  readonly kvCapacityTokens: number
  /** From least to most recently used; opaque to everyone but `ShadowKv`. */
  readonly blocks: Uint8Array
}

/** The shadow KV of each pod that has said how large its own is, and with it that pod's geometry in the table. */
export class PodSketches {
  /** By row; undefined until the pod is described. */
  readonly shadows: ReadonlyArray<ShadowKv | undefined>
  private readonly table: PodTable
  private readonly index: PrefixIndex
  private readonly byRow: Array<ShadowKv | undefined> = []

  constructor(table: PodTable, index: PrefixIndex) {
    this.table = table
    this.index = index
    this.shadows = this.byRow
  }

  /** Cached blocks over all pods. */
  get blocks(): number {
    return this.byRow.reduce((blocks, shadow) => blocks + (shadow?.cachedBlocks ?? 0), 0)
  }

  /** Memory of all sketches, without the index over them. */
  get byteLength(): number {
    return this.byRow.reduce((bytes, shadow) => bytes + (shadow?.byteLength ?? 0), 0)
  }

  /** True: the sketch is a new, empty one, since the pod had none or its block size changed. */
  describe(row: number, blockSizeTokens: number, kvCapacityTokens: number): boolean {
    const { byRow, table } = this
    const capacityBlocks = Math.max(1, Math.floor(kvCapacityTokens / blockSizeTokens))
    const shadow = byRow[row]
    const isNew = shadow === undefined || table.blockSizeTokens[row] !== blockSizeTokens
    if (isNew) {
      shadow?.clear()
      byRow[row] = new ShadowKv(row, this.index, capacityBlocks)
    } else if (table.kvCapacityTokens[row] !== kvCapacityTokens) {
      shadow.resize(capacityBlocks)
    }
    table.blockSizeTokens[row] = blockSizeTokens
    table.kvCapacityTokens[row] = kvCapacityTokens
    return isNew
  }

  isDescribed(row: number): boolean {
    return this.byRow[row] !== undefined
  }

  /** The pod's cache is empty. */
  clear(row: number): void {
    this.byRow[row]?.clear()
  }

  /** The row is no pod's any more. */
  remove(row: number): void {
    this.clear(row)
    this.byRow[row] = undefined
  }

  /** Undefined when the pod was not described. */
  save(row: number): SavedSketch | undefined {
    const shadow = this.byRow[row]
    if (shadow === undefined) return undefined
    return {
      blockSizeTokens: this.table.blockSizeTokens[row] ?? 0,
      kvCapacityTokens: this.table.kvCapacityTokens[row] ?? 0,
      blocks: shadow.exportBlocks()
    }
  }

  /** Fills the sketch of a pod that was just described. Returns why it was refused, if it was. */
  restore(row: number, { blocks }: SavedSketch): string | undefined {
    return this.byRow[row]?.importBlocks(blocks)
  }
}
