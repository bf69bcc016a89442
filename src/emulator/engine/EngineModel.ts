import type { EngineConstants } from "../../core/EngineConstants.ts"
import { BlockPool } from "./BlockPool.ts"
import { DecodeStretch } from "./DecodeStretch.ts"
import { EngineCounters } from "./EngineCounters.ts"
import { EngineRequest, type EngineRequestInput } from "./EngineRequest.ts"
import type { KvTier } from "./KvTier.ts"
import { StepLoad } from "./StepLoad.ts"
import { clearOutcome, emptyOutcome, type StepOutcome } from "./StepOutcome.ts"

export interface EngineOptions {
  readonly constants: EngineConstants
  /** vLLM's `--block-size`. */
  readonly blockSizeTokens: number
  /** vLLM's `--max-num-seqs`: requests that may run at once. */
  readonly maxNumSeqs: number
  /** vLLM's `--max-model-len`, for the bounds of the token histograms. */
  readonly maxModelLen: number
  /** Where computed blocks go too; requests use what is there in place of own blocks, at no cost. */
  readonly kvTier?: KvTier | undefined
}

/**
 * One vLLM v1 engine as a state machine in virtual time: continuous batching, chunked prefill, block KV cache with
 * prefix reuse and LRU, preemption by recompute. It owns no clock: the driver says when a step starts and learns when
 * it ends. As in vLLM, a block can be hit by others from the step on that computes it, a request is admitted only when
 * its whole prompt fits (`scheduler_reserve_full_isl`), and the last running request is the one preempted. One file,
 * since steps, admission and preemption all change the same batch.
 */
export class EngineModel<Owner> {
  readonly constants: EngineConstants
  readonly maxNumSeqs: number
  readonly pool: BlockPool
  readonly counters: EngineCounters
  /** In order of admission. */
  readonly running: Array<EngineRequest<Owner>> = []
  /** In order of arrival, preempted ones first. */
  readonly waiting: Array<EngineRequest<Owner>> = []

  private readonly outcome = emptyOutcome<Owner>()
  private readonly load: StepLoad
  private readonly stretch: DecodeStretch
  private readonly kvTier: KvTier | undefined
  /** `pool.releases` when the first waiting request last failed to fit; -1: not known to fail. */
  private blockedAtRelease = -1

  constructor(options: EngineOptions) {
    this.constants = options.constants
    this.maxNumSeqs = options.maxNumSeqs
    this.kvTier = options.kvTier
    const blockCount = Math.floor(options.constants.kvCapacityTokens / options.blockSizeTokens)
    this.pool = new BlockPool(blockCount, options.blockSizeTokens, options.kvTier)
    this.counters = new EngineCounters(options.maxModelLen)
    this.load = new StepLoad(options.constants)
    this.stretch = new DecodeStretch(options.constants, options.blockSizeTokens, options.maxNumSeqs)
  }

  /** Share of the KV blocks that requests hold, in [0, 1]. */
  get kvUsage(): number {
    return 1 - this.pool.freeCount / this.pool.usableBlocks
  }

  get hasWork(): boolean {
    return this.running.length > 0 || this.waiting.length > 0
  }

  /** Whether a request of this size can ever run here. */
  fits(promptTokens: number, outputTokens: number): boolean {
    return promptTokens > 0 &&
      Math.ceil((promptTokens + outputTokens) / this.pool.blockSizeTokens) <= this.pool.usableBlocks
  }

  /** Queues a request that arrived at `nowS`. Throws RangeError when it can never fit: ask `fits` first. */
  submit(input: EngineRequestInput<Owner>, nowS: number): EngineRequest<Owner> {
    if (!this.fits(input.promptTokens, input.outputTokens)) {
      throw new RangeError(
        `${input.promptTokens} prompt and ${input.outputTokens} output tokens do not fit ${this.pool.usableBlocks} blocks`
      )
    }
    const request = new EngineRequest(input, nowS, this.pool.blockSizeTokens)
    this.waiting.push(request)
    return request
  }

  /** Drops a request and its blocks at once; false when it had ended already. */
  abort(request: EngineRequest<Owner>): boolean {
    if (request.state === "waiting") {
      const index = this.waiting.indexOf(request)
      this.waiting.splice(index, 1)
      if (index === 0) this.blockedAtRelease = -1
    } else if (request.state === "running") {
      this.running.splice(this.running.indexOf(request), 1)
      this.freeBlocks(request)
    } else {
      return false
    }
    request.state = "aborted"
    this.counters.abortedRequests++
    return true
  }

  /** Runs the step that starts at `nowS`. */
  step(nowS: number): StepOutcome<Owner> {
    return this.stepMany(nowS, nowS)
  }

  /**
   * Runs the step that starts at `nowS`, and as many more that start before `untilS` as only decode the same batch:
   * the call returns when a request ends, blocks run out or a prompt can go on. Same result as repeated `step`.
   */
  stepMany(nowS: number, untilS: number): StepOutcome<Owner> {
    const outcome = this.outcome
    clearOutcome(outcome, nowS)
    if (this.onlyDecodes() && this.stretch.run(this.running, this.pool, this.counters, nowS, untilS)) {
      outcome.steps = this.stretch.steps
      outcome.tokens = this.stretch.steps * this.running.length
      outcome.endS = this.stretch.endS
    } else if (this.hasWork) {
      this.mixedStep(nowS)
    }
    if (outcome.steps > 0) this.retireFinished()
    return outcome
  }

  /**
   * When the batch changes next if nothing arrives or leaves: the end of the decode stretch that starts at `nowS`.
   * `nowS` itself when the next step is not a pure decode step. Changes nothing.
   */
  stretchEndS(nowS: number): number {
    return this.onlyDecodes() ? this.stretch.peekEndS(this.running, this.pool, nowS) : nowS
  }

  private onlyDecodes(): boolean {
    const { running } = this
    if (running.length === 0 || running.length > this.constants.batchedTokensMax) return false
    if (this.waiting.length > 0 && running.length < this.maxNumSeqs && this.blockedAtRelease !== this.pool.releases) {
      return false
    }
    // Only the requests admitted last can still be prefilling; a prompt may have one token left to compute.
    for (let index = running.length - 1; index >= 0; index--) {
      const { dueTokens, outputDone } = running[index]!
      if (dueTokens !== 1 || outputDone === 0) return false
    }
    return true
  }

  private mixedStep(nowS: number): void {
    const { running, waiting, outcome, load } = this
    load.reset()
    for (let index = 0; index < running.length && load.budgetTokens > 0; index++) {
      const request = running[index]!
      const tokens = Math.min(request.dueTokens, load.budgetTokens)
      if (!this.growRunning(request, request.computedTokens + tokens)) break
      this.schedule(request, tokens)
    }
    while (waiting.length > 0 && load.budgetTokens > 0 && running.length < this.maxNumSeqs) {
      const request = waiting[0]!
      if (outcome.preempted.length > 0 || !this.admit(request, nowS)) break
      const tokens = Math.min(request.dueTokens, load.budgetTokens)
      this.grow(request, request.computedTokens + tokens)
      this.schedule(request, tokens)
    }
    outcome.steps = 1
    outcome.tokens = load.tokens
    outcome.endS = nowS + load.seconds()
    this.emitTokens()
  }

  private schedule(request: EngineRequest<Owner>, tokens: number): void {
    this.load.add(request, tokens)
    request.computedTokens += tokens
    this.cacheFullBlocks(request)
  }

  /** After a mixed step: every request that is computed up to its end yields one token. */
  private emitTokens(): void {
    const { counters, outcome } = this
    const { endS } = outcome
    counters.steps++
    counters.stepTokens.observe(outcome.tokens)
    for (const request of this.running) {
      if (request.dueTokens > 0 || request.outputTokens === 0) continue
      request.outputDone++
      counters.generationTokens++
      if (request.outputDone === 1) {
        request.firstTokenS = endS
        outcome.firstTokens.push(request)
        counters.firstTokenS.observe(endS - request.arrivedS)
      } else {
        counters.interTokenS.observe(endS - request.lastTokenS)
      }
      request.lastTokenS = endS
    }
  }

  /** Moves the first waiting request to the running ones, with its prefix hits; false when it can't fit now. */
  private admit(request: EngineRequest<Owner>, nowS: number): boolean {
    const { pool } = this
    if (this.blockedAtRelease === pool.releases) return false
    const { low, high, length } = request.chain
    const tokens = request.lengthTokens
    // At least one token must be computed, to have something to sample from.
    const hitsMax = Math.min(length, Math.floor((tokens - 1) / pool.blockSizeTokens))
    let hits = this.tierHits(request, hitsMax)
    let freeHits = 0
    for (; hits < hitsMax; hits++) {
      const block = pool.find(low[hits]!, high[hits]!)
      if (block === 0) break
      if (pool.isFree(block)) freeHits++
      request.blocks[hits] = block
    }
    if (Math.ceil(tokens / pool.blockSizeTokens) - hits + freeHits > pool.freeCount) {
      this.blockedAtRelease = pool.releases
      return false
    }
    for (let index = 0; index < hits; index++) pool.touch(request.blocks[index]!)
    request.blockCount = hits
    request.hashedBlocks = hits
    request.computedTokens = hits * pool.blockSizeTokens
    if (request.scheduledS < 0) {
      request.scheduledS = nowS
      request.cachedTokens = request.computedTokens
      this.counters.promptTokens += request.promptTokens
      this.counters.promptTokensCached += request.cachedTokens
      this.counters.prefixQueryTokens += request.promptTokens
      this.counters.prefixHitTokens += request.cachedTokens
    }
    request.state = "running"
    this.waiting.shift()
    this.blockedAtRelease = -1
    this.running.push(request)
    return true
  }

  /** Blocks from the front that lie in the tier; the null block stands for each. */
  private tierHits(request: EngineRequest<Owner>, hitsMax: number): number {
    if (this.kvTier === undefined) return 0
    const hits = Math.min(hitsMax, this.kvTier.match(request.chain))
    request.blocks.fill(0, 0, hits)
    return hits
  }

  /** Gets the blocks for a running request, preempting from the end of the batch; false when it fell itself. */
  private growRunning(request: EngineRequest<Owner>, tokens: number): boolean {
    const missing = Math.ceil(tokens / this.pool.blockSizeTokens) - request.blockCount
    while (missing > this.pool.freeCount) {
      const victim = this.running.pop()!
      this.preempt(victim)
      if (victim === request) return false
    }
    this.grow(request, tokens)
    return true
  }

  private grow(request: EngineRequest<Owner>, tokens: number): void {
    const needed = Math.ceil(tokens / this.pool.blockSizeTokens)
    while (request.blockCount < needed) request.blocks[request.blockCount++] = this.pool.take()
  }

  private preempt(request: EngineRequest<Owner>): void {
    this.freeBlocks(request)
    request.computedTokens = 0
    request.hashedBlocks = 0
    request.preemptions++
    request.state = "waiting"
    this.waiting.unshift(request)
    this.blockedAtRelease = -1
    this.counters.preemptions++
    this.outcome.preempted.push(request)
  }

  private cacheFullBlocks(request: EngineRequest<Owner>): void {
    const { low, high, length } = request.chain
    const full = Math.min(length, Math.floor(request.computedTokens / this.pool.blockSizeTokens))
    for (; request.hashedBlocks < full; request.hashedBlocks++) {
      const index = request.hashedBlocks
      this.pool.cache(request.blocks[index]!, low[index]!, high[index]!)
    }
  }

  private freeBlocks(request: EngineRequest<Owner>): void {
    this.pool.release(request.blocks, request.blockCount)
    request.blockCount = 0
  }

  /** Takes the requests that made their last token out of the batch. */
  private retireFinished(): void {
    const { running, outcome } = this
    let kept = 0
    for (const request of running) {
      const done = request.outputTokens === 0 ? request.dueTokens === 0 : request.outputDone === request.outputTokens
      if (done) {
        this.finish(request, outcome.endS)
      } else {
        running[kept++] = request
      }
    }
    running.length = kept
  }

  private finish(request: EngineRequest<Owner>, endS: number): void {
    request.state = "finished"
    this.freeBlocks(request)
    this.outcome.finished.push(request)
    this.counters.requestFinished(request, endS)
  }
}
