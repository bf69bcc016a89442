import type { BlockChain } from "../../core/BlockChain.ts"

export interface EngineRequestInput<Owner> {
  /** Whatever the driver wants to find again at an outcome. */
  readonly owner: Owner
  readonly promptTokens: number
  /** Tokens it will generate unless aborted; 0 for embeddings and the like, which end with their prefill. */
  readonly outputTokens: number
  /**
   * Hashes of the full blocks of prompt and output together, at the engine's block size.
   * It may end early: blocks beyond it are computed and used but never found again.
   */
  readonly chain: BlockChain
}

export type EngineRequestState = "waiting" | "running" | "finished" | "aborted"

/** One request inside the engine. The engine alone writes it; drivers read. */
export class EngineRequest<Owner> {
  readonly owner: Owner
  readonly promptTokens: number
  readonly outputTokens: number
  readonly chain: BlockChain
  readonly arrivedS: number
  state: EngineRequestState = "waiting"
  /** Tokens whose KV is there (hit or computed) or is being computed by the step under way. */
  computedTokens = 0
  /** Output tokens generated so far. */
  outputDone = 0
  /** Prompt tokens taken from the cache at the first admission. */
  cachedTokens = 0
  /** First admission, first token, last token; -1: not yet. */
  scheduledS = -1
  firstTokenS = -1
  lastTokenS = -1
  preemptions = 0

  readonly blocks: Int32Array
  blockCount = 0
  /** Blocks from the front that are named in the cache. */
  hashedBlocks = 0

  constructor(input: EngineRequestInput<Owner>, arrivedS: number, blockSizeTokens: number) {
    this.owner = input.owner
    this.promptTokens = input.promptTokens
    this.outputTokens = input.outputTokens
    this.chain = input.chain
    this.arrivedS = arrivedS
    this.blocks = new Int32Array(Math.ceil((input.promptTokens + input.outputTokens) / blockSizeTokens))
  }

  /** Tokens known so far: the prompt and what was generated. */
  get lengthTokens(): number {
    return this.promptTokens + this.outputDone
  }

  /** Tokens still to compute before the next output token; 1 while decoding. */
  get dueTokens(): number {
    return this.promptTokens + this.outputDone - this.computedTokens
  }
}
