import type { BlockChain } from "../core/BlockChain.ts"
import type { EngineModel } from "./engine/EngineModel.ts"
import type { StepOutcome } from "./engine/StepOutcome.ts"
import { Generation } from "./Generation.ts"
import type { OutputPlan } from "./OutputPlan.ts"

export interface EngineDriverOptions {
  readonly engine: EngineModel<Generation>
  /** Virtual seconds that pass in a real second. */
  readonly speed: number
  /** Requests that may wait before new ones are refused. */
  readonly maxNumQueuedRequests: number
  /** After its first token an answer is sent in pieces of so many, as with vLLM's `--stream-interval`. */
  readonly streamInterval: number
}

/**
 * Runs an engine model in real time with one timer. Steps follow each other on the virtual clock, not on the timer:
 * a late timer runs all the steps that are due, so lateness does not add up.
 */
export class EngineDriver {
  readonly engine: EngineModel<Generation>
  readonly streamInterval: number
  /** Ended generations by how they ended. */
  readonly endings = { stop: 0, length: 0, abort: 0 }
  rejections = 0

  private readonly speed: number
  private readonly maxNumQueuedRequests: number
  private readonly startedMs = performance.now()
  /** End of the step under way, or of the last one. */
  private busyUntilS = 0
  private lastStepS = 0
  private underWay: StepOutcome<Generation> | undefined
  private timer: ReturnType<typeof setTimeout> | undefined
  private readonly changed: Array<Generation> = []

  constructor(options: EngineDriverOptions) {
    this.engine = options.engine
    this.speed = options.speed
    this.maxNumQueuedRequests = options.maxNumQueuedRequests
    this.streamInterval = options.streamInterval
  }

  nowS(): number {
    return (performance.now() - this.startedMs) / 1000 * this.speed
  }

  /** True, and counted, when so many requests wait that vLLM would answer 503. */
  refuses(): boolean {
    if (this.engine.waiting.length < this.maxNumQueuedRequests) return false
    this.rejections++
    return true
  }

  /** Starts an answer now; ask `engine.fits` and `refuses` first. */
  start(promptTokens: number, plan: OutputPlan, chain: BlockChain, adapter: string): Generation {
    const nowS = this.nowS()
    this.advance(nowS)
    if (this.underWay === undefined) this.busyUntilS = nowS
    const generation = new Generation(plan, adapter)
    const input = { owner: generation, promptTokens, outputTokens: plan.tokenCount, chain }
    generation.request = this.engine.submit(input, nowS)
    this.advance(nowS)
    return generation
  }

  /** The client has gone: frees the KV blocks at once. */
  abort(generation: Generation): void {
    if (generation.ended) return
    this.engine.abort(generation.request)
    this.endings.abort++
    generation.end(true)
  }

  /** Stops the timer; what still runs is aborted. */
  stop(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    for (const request of [...this.engine.running, ...this.engine.waiting]) this.abort(request.owner)
    for (const request of this.underWay?.finished ?? []) this.abort(request.owner)
    this.underWay = undefined
  }

  private advance(nowS: number): void {
    for (;;) {
      if (this.underWay !== undefined) {
        if (this.busyUntilS > nowS) break
        this.publish(this.underWay)
        this.underWay = undefined
      }
      if (!this.engine.hasWork) break
      // Far behind, many decode steps run in one call; the last of them should still end by now.
      this.underWay = this.engine.stepMany(this.busyUntilS, nowS - this.lastStepS)
      this.lastStepS = (this.underWay.endS - this.underWay.startS) / Math.max(1, this.underWay.steps)
      this.busyUntilS = this.underWay.endS
    }
    this.notifyChanged()
    this.armTimer(nowS)
  }

  private publish(outcome: StepOutcome<Generation>): void {
    for (const request of this.engine.running) {
      const generation = request.owner
      const { visibleTokens } = generation
      if (request.outputDone - visibleTokens < (visibleTokens === 0 ? 1 : this.streamInterval)) continue
      generation.visibleTokens = request.outputDone
      this.markChanged(generation)
    }
    for (const { owner, outputDone } of outcome.finished) {
      if (owner.ended) continue
      owner.visibleTokens = outputDone
      owner.complete = true
      this.markChanged(owner)
    }
  }

  private markChanged(generation: Generation): void {
    if (generation.changed) return
    generation.changed = true
    this.changed.push(generation)
  }

  private notifyChanged(): void {
    for (const generation of this.changed) {
      generation.changed = false
      if (generation.ended) continue
      if (generation.complete) {
        this.endings[generation.plan.finishReason === "length" ? "length" : "stop"]++
        generation.end(false)
      } else {
        generation.onProgress?.()
      }
    }
    this.changed.length = 0
  }

  private armTimer(nowS: number): void {
    if (this.underWay === undefined || this.timer !== undefined) return
    this.timer = setTimeout(() => {
      this.timer = undefined
      this.advance(this.nowS())
    }, Math.max(0, (this.busyUntilS - nowS) / this.speed * 1000))
  }
}
