import { emptyChain } from "../BlockChain.ts"
import type { PodTable } from "../PodTable.ts"
import type { PickContext } from "../Policy.ts"
import type { PrefixIndex } from "./PrefixIndex.ts"
import { addRow, hasRow, type RowMask, rowMask } from "../rowMask.ts"

/** Looks up how much of a request's prompt the candidates hold, each once a decision. */
export class PrefixHits {
  private readonly table: PodTable
  private readonly index: PrefixIndex
  private readonly candidateMask: RowMask
  private readonly hitBlocks: Uint32Array
  /** Number of the decision that is prepared, and by row the last one whose hits were measured there. */
  private decision = 0
  private readonly measuredFor: Float64Array

  constructor(table: PodTable, index: PrefixIndex) {
    this.table = table
    this.index = index
    this.candidateMask = rowMask(table.rowsMax)
    this.hitBlocks = new Uint32Array(table.rowsMax)
    this.measuredFor = new Float64Array(table.rowsMax).fill(-1)
  }

  /** What was measured before does not count any more. */
  startDecision(): void {
    this.decision++
  }

  /**
   * Fills `hitTokens` for the candidates that were not measured yet in this decision: one walk over the index for each
   * block size in use.
   */
  measure(context: PickContext): void {
    const { table } = this
    const { request } = context
    let missing = 0
    for (let i = 0; i < context.candidateCount; i++) {
      const row = context.candidates[i] ?? 0
      if (this.measuredFor[row] === this.decision) continue
      context.hitTokens[row] = -1
      missing++
    }
    while (missing > 0) {
      this.candidateMask.fill(0)
      let blockSizeTokens = -1
      for (let i = 0; i < context.candidateCount; i++) {
        const row = context.candidates[i] ?? 0
        if ((context.hitTokens[row] ?? 0) >= 0) continue
        if (blockSizeTokens < 0) blockSizeTokens = table.blockSizeTokens[row] ?? 0
        if (table.blockSizeTokens[row] !== blockSizeTokens) continue
        addRow(this.candidateMask, row)
      }
      const chain = blockSizeTokens > 0 ? request.chain(blockSizeTokens) : emptyChain
      const tokensPerBlock = blockSizeTokens > 0 ? request.tokensPerBlock(blockSizeTokens) : 0
      this.index.match(chain, this.candidateMask, this.hitBlocks)
      for (let i = 0; i < context.candidateCount; i++) {
        const row = context.candidates[i] ?? 0
        if (!hasRow(this.candidateMask, row)) continue
        // vLLM always computes at least the last prompt token.
        context.hitTokens[row] = Math.max(
          0,
          Math.min((this.hitBlocks[row] ?? 0) * tokensPerBlock, request.promptTokens - 1)
        )
        this.measuredFor[row] = this.decision
        missing--
      }
    }
  }
}
