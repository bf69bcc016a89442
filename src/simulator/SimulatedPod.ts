import { decodeStepSeconds, type EngineConstants } from "../core/EngineConstants.ts"
import type { PodAddress } from "../core/Pod.ts"
import { EngineModel, type EngineOptions } from "../emulator/engine/EngineModel.ts"
import type { EngineRequestInput } from "../emulator/engine/EngineRequest.ts"
import type { KvTier } from "../emulator/engine/KvTier.ts"

type Outcome<Owner> = ReturnType<EngineModel<Owner>["step"]>

/** What a scrape of the pod's metrics shows. */
export interface PodReading {
  readonly running: number
  readonly waiting: number
  readonly kvUsage: number
}

/**
 * One engine in virtual time. While its batch only decodes, nothing is computed until something happens: an arrival
 * cuts the stretch short, or its end has come. `wakeS` is when it wants to be woken; `version` grows with each plan,
 * so that a wake for an older plan can be told apart.
 */
export class SimulatedPod<Owner> {
  readonly address: PodAddress
  engine: EngineModel<Owner>
  /** Processes that the pod has had, less one; what they had cached is lost between them. */
  life = 0
  alive = true
  wakeS = Number.POSITIVE_INFINITY
  version = 0
  /** Start of the decode stretch that is not yet computed; -1: none. */
  private stretchFromS = -1
  /** The outcome that becomes visible at `wakeS`. */
  private due: Outcome<Owner> | undefined
  private readonly engineOptions: EngineOptions

  constructor(
    address: PodAddress,
    constants: EngineConstants,
    blockSizeTokens: number,
    maxNumSeqs: number,
    kvTier?: KvTier
  ) {
    this.address = address
    this.engineOptions = { constants, blockSizeTokens, maxNumSeqs, maxModelLen: constants.kvCapacityTokens, kvTier }
    this.engine = new EngineModel(this.engineOptions)
  }

  /** KV tokens that requests can use, as vLLM's cache configuration tells. */
  get kvCapacityTokens(): number {
    return this.engine.pool.usableBlocks * this.engine.pool.blockSizeTokens
  }

  /** Queues a request; false when it can never fit. */
  submit(input: EngineRequestInput<Owner>, nowS: number): boolean {
    if (!this.engine.fits(input.promptTokens, input.outputTokens)) return false
    if (this.stretchFromS >= 0) this.plan(this.engine.stepMany(this.stretchFromS, nowS))
    this.engine.submit(input, nowS)
    if (this.due === undefined) this.begin(nowS)
    return true
  }

  /** Whoever asked has gone. A request that has ended already stays so. */
  abort(owner: Owner, nowS: number): void {
    const { engine } = this
    if (this.stretchFromS >= 0) this.plan(engine.stepMany(this.stretchFromS, nowS))
    const request = [...engine.running, ...engine.waiting].find((other) => other.owner === owner)
    if (request !== undefined) engine.abort(request)
  }

  /** The step or stretch under way ends now: what it brought. Valid until the next call. */
  wake(): Outcome<Owner> {
    const outcome = this.due ?? this.engine.stepMany(this.stretchFromS, Number.POSITIVE_INFINITY)
    this.due = undefined
    this.stretchFromS = -1
    return outcome
  }

  /** Call after `wake`, once its outcome was read. */
  begin(nowS: number): void {
    this.wakeS = Number.POSITIVE_INFINITY
    this.version++
    if (!this.engine.hasWork) return
    const endS = this.engine.stretchEndS(nowS)
    if (endS > nowS) {
      this.stretchFromS = nowS
      this.wakeS = endS
    } else {
      this.plan(this.engine.step(nowS))
    }
  }

  /** The process ends at once; returns whose requests it had. */
  crash(): ReadonlyArray<Owner> {
    // The engine is done with those that the step under way finishes, but nobody has their answer yet.
    const finishing = this.due?.finished ?? []
    const lost = [...this.engine.running, ...this.engine.waiting, ...finishing].map(({ owner }) => owner)
    this.engine = new EngineModel(this.engineOptions)
    this.alive = false
    this.due = undefined
    this.stretchFromS = -1
    this.wakeS = Number.POSITIVE_INFINITY
    this.version++
    return lost
  }

  /** A new process serves, with an empty cache. */
  restart(): void {
    this.life++
    this.alive = true
  }

  /** Metrics as of now; the KV that a stretch under way has taken since its start is worked out, not simulated. */
  read(nowS: number): PodReading {
    const { engine } = this
    const running = engine.running.length
    let grownBlocks = 0
    if (this.stretchFromS >= 0) {
      const contextTokens = engine.running.reduce((sum, request) => sum + request.lengthTokens, 0)
      const steps = (nowS - this.stretchFromS) / decodeStepSeconds(engine.constants, running, contextTokens)
      grownBlocks = steps * running / engine.pool.blockSizeTokens
    }
    return {
      running,
      waiting: engine.waiting.length,
      kvUsage: Math.min(1, engine.kvUsage + grownBlocks / engine.pool.usableBlocks)
    }
  }

  private plan(outcome: Outcome<Owner>): void {
    if (outcome.steps === 0) throw new Error(`pod ${this.address.id} has work but makes no step`)
    this.due = outcome
    this.stretchFromS = -1
    this.wakeS = outcome.endS
    this.version++
  }
}
