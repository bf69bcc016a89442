import { decodeStepSeconds, type EngineConstants } from "../../core/EngineConstants.ts"
import type { BlockPool } from "./BlockPool.ts"
import type { EngineCounters } from "./EngineCounters.ts"
import type { EngineRequest } from "./EngineRequest.ts"

/**
 * Many decode steps of one unchanged batch at the price of about one: a request needs a block only each
 * `blockSizeTokens` steps, so the batch is sorted once by when that is and the steps between touch no request.
 */
export class DecodeStretch {
  /** Result of the last `run`. */
  steps = 0
  endS = 0

  private readonly constants: EngineConstants
  private readonly blockSizeTokens: number
  /** Indices into the batch, grouped by the step (modulo block size) at which each needs its next block. */
  private readonly order: Int32Array
  /** Group g is `order[groupEnds[g] - groupSizes[g] .. groupEnds[g])`. */
  private readonly groupSizes: Int32Array
  private readonly groupEnds: Int32Array
  private contextTokens = 0
  private stepsMax = 0

  constructor(constants: EngineConstants, blockSizeTokens: number, maxNumSeqs: number) {
    this.constants = constants
    this.blockSizeTokens = blockSizeTokens
    this.order = new Int32Array(maxNumSeqs)
    this.groupSizes = new Int32Array(blockSizeTokens)
    this.groupEnds = new Int32Array(blockSizeTokens)
  }

  /** Runs the steps that start before `untilS`, at least one; false when not even one finds its blocks. */
  run(
    batch: ReadonlyArray<EngineRequest<unknown>>,
    pool: BlockPool,
    counters: EngineCounters,
    nowS: number,
    untilS: number
  ): boolean {
    this.prepare(batch)
    let timeS = nowS
    let contextTokens = this.contextTokens
    let steps = 0
    while (steps < this.stepsMax && (steps === 0 || timeS < untilS)) {
      const group = steps % this.blockSizeTokens
      if (this.groupSizes[group]! > pool.freeCount) break
      this.takeBlocks(batch, pool, group)
      this.cacheFilled(batch, pool, steps)
      const startS = timeS
      timeS += decodeStepSeconds(this.constants, batch.length, contextTokens)
      counters.interTokenS.observe(timeS - startS, batch.length)
      contextTokens += batch.length
      steps++
    }
    if (steps === 0) return false
    for (const request of batch) {
      request.computedTokens += steps
      request.outputDone += steps
      request.lastTokenS = timeS
    }
    counters.steps += steps
    counters.generationTokens += steps * batch.length
    counters.stepTokens.observe(batch.length, steps)
    this.steps = steps
    this.endS = timeS
    return true
  }

  /** When `run` without a limit would end; `nowS` when it would not run at all. */
  peekEndS(batch: ReadonlyArray<EngineRequest<unknown>>, pool: BlockPool, nowS: number): number {
    this.prepare(batch)
    let timeS = nowS
    let contextTokens = this.contextTokens
    let free = pool.freeCount
    for (let steps = 0; steps < this.stepsMax; steps++) {
      free -= this.groupSizes[steps % this.blockSizeTokens]!
      if (free < 0) break
      timeS += decodeStepSeconds(this.constants, batch.length, contextTokens)
      contextTokens += batch.length
    }
    return timeS
  }

  /** Counting sort of the batch by the step at which each request crosses into a new block. */
  private prepare(batch: ReadonlyArray<EngineRequest<unknown>>): void {
    const size = this.blockSizeTokens
    this.groupSizes.fill(0)
    this.contextTokens = 0
    this.stepsMax = Infinity
    for (const request of batch) {
      this.groupSizes[(size - request.computedTokens % size) % size]!++
      this.contextTokens += request.lengthTokens
      this.stepsMax = Math.min(this.stepsMax, request.outputTokens - request.outputDone)
    }
    let end = 0
    for (let group = 0; group < size; group++) {
      this.groupEnds[group] = end
      end += this.groupSizes[group]!
    }
    for (let index = 0; index < batch.length; index++) {
      const group = (size - batch[index]!.computedTokens % size) % size
      this.order[this.groupEnds[group]!++] = index
    }
  }

  private takeBlocks(batch: ReadonlyArray<EngineRequest<unknown>>, pool: BlockPool, group: number): void {
    const end = this.groupEnds[group]!
    for (let entry = end - this.groupSizes[group]!; entry < end; entry++) {
      const request = batch[this.order[entry]!]!
      request.blocks[request.blockCount++] = pool.take()
    }
  }

  /** Names the blocks whose last token is computed by this step: those whose owners need a new one at the next. */
  private cacheFilled(batch: ReadonlyArray<EngineRequest<unknown>>, pool: BlockPool, step: number): void {
    const group = (step + 1) % this.blockSizeTokens
    const end = this.groupEnds[group]!
    for (let entry = end - this.groupSizes[group]!; entry < end; entry++) {
      const request = batch[this.order[entry]!]!
      const index = request.hashedBlocks
      if (index >= request.chain.length) continue
      pool.cache(request.blocks[index]!, request.chain.low[index]!, request.chain.high[index]!)
      request.hashedBlocks++
    }
  }
}
