import type { BlockChain } from "../core/BlockChain.ts"
import type { RequestFeatures } from "../core/RequestFeatures.ts"
import type { Scheduler } from "../core/Scheduler.ts"
import { EventHeap } from "./EventHeap.ts"
import { Measurements, type Slo } from "./Measurements.ts"
import { chainOf, prefixOf, tokensOf } from "./promptChain.ts"
import type { PodReading, SimulatedPod } from "./SimulatedPod.ts"
import type { PlannedRequest, Stage, Workload } from "./Workload.ts"

/** How long things take on their way, and how old a scrape is. */
export interface PathTimes {
  /** From the client to the pod's engine: gateway, network, the pod's own front end. */
  readonly toPodS: number
  /** From the engine's step back to the gateway and the client. */
  readonly fromPodS: number
  /** Between two scrapes of a pod. */
  readonly scrapeIntervalS: number
  /** From what a scrape shows to when the scheduler hears of it. */
  readonly scrapeAgeS: number
}

export interface SimulationOptions {
  readonly workload: Workload
  readonly scheduler: Scheduler
  readonly pods: ReadonlyArray<SimulatedPod<SimulatedRequest>>
  readonly model: string
  readonly path: PathTimes
  /** What `sloShare` counts. Default: TTFT of 2 s and TPOT of 50 ms. */
  readonly slo?: Slo | undefined
  /** Told now and then how many requests ended, and at which virtual time. */
  readonly progress?: ((ended: number, nowS: number) => void) | undefined
}

/** A request on its way through the world. */
export interface SimulatedRequest {
  readonly number: number
  readonly plan: PlannedRequest
  readonly stage: number
  readonly measured: boolean
  readonly arrivedS: number
  readonly promptTokens: number
  readonly chain: BlockChain
  reservation: number
  pod: number
  firstTokenS: number
  cachedTokens: number
}

// Kinds of events; the subject is a request's number or a pod's.
const ARRIVAL = 0
const AT_POD = 1
const POD_WAKE = 2
const FIRST_TOKEN = 3
const END = 4
const SCRAPE = 5
const SCRAPED = 6

const PROGRESS_EVERY = 500

/**
 * The world in virtual time: clients of a workload, one gateway with the scheduler that serves real traffic, and pods
 * that are engine models. The scheduler hears of first tokens and ends when the gateway would see them, and of
 * metrics when a scrape would bring them. Deterministic: no clock, no chance but what the options bring.
 */
export class Simulation {
  readonly measurements: Measurements
  /** Requests that ended, in one way or another. */
  ended = 0
  nowS = 0

  private readonly options: SimulationOptions
  private readonly events = new EventHeap()
  /** By number; gone when they ended. */
  private readonly requests = new Map<number, SimulatedRequest>()
  private readonly planned = new Map<number, PlannedRequest>()
  private numbers = 0
  private stage: Stage | undefined
  private stageIndex = -1
  private stageStartS = 0
  /** Readings on their way to the scheduler, oldest first, by pod. */
  private readonly readings: ReadonlyArray<Array<PodReading>>

  constructor(options: SimulationOptions) {
    this.options = options
    this.measurements = new Measurements(options.slo)
    this.readings = options.pods.map(() => [])
  }

  /** Runs the workload to its end. */
  run(): void {
    const { path, pods } = this.options
    pods.forEach((_, pod) => this.events.push(path.scrapeIntervalS * pod / pods.length, SCRAPE, pod))
    this.startStage(0)
    while (this.stage !== undefined && this.events.pop()) {
      if (this.events.timeS < this.nowS) throw new Error(`${this.options.workload.name} asks for the past`)
      this.nowS = this.events.timeS
      this.handle(this.events.kind, this.events.subject, this.events.version)
    }
  }

  private handle(kind: number, subject: number, version: number): void {
    switch (kind) {
      case ARRIVAL:
        return this.arrive(subject, version === 1)
      case AT_POD:
        return this.reachPod(subject)
      case POD_WAKE:
        return this.wakePod(subject, version)
      case FIRST_TOKEN:
        return this.seeFirstToken(subject)
      case END:
        return this.seeEnd(subject)
      case SCRAPE:
        return this.scrape(subject)
      default:
        return this.observe(subject)
    }
  }

  private startStage(index: number): void {
    this.stageIndex = index
    this.stage = this.options.workload.stages[index]?.()
    this.stageStartS = index === 0 ? 0 : this.nowS + this.options.workload.pauseS
    if (this.stage !== undefined) this.planNextArrival()
  }

  /** Draws the next request of the stage; it is drawn only when the one before it arrives. */
  private planNextArrival(): void {
    const next = this.stage?.arrivals.next()
    if (next !== undefined && next.done !== true) this.plan(next.value, this.stageStartS, true)
    else this.endStageWhenIdle()
  }

  private plan(request: PlannedRequest, fromS: number, fromStage: boolean): void {
    const number = this.numbers++
    this.planned.set(number, request)
    this.events.push(fromS + request.afterS, ARRIVAL, number, fromStage ? 1 : 0)
  }

  private endStageWhenIdle(): void {
    if (this.requests.size === 0 && this.planned.size === 0) this.startStage(this.stageIndex + 1)
  }

  private arrive(number: number, fromStage: boolean): void {
    const { model, path, pods, scheduler } = this.options
    const plan = this.planned.get(number)!
    this.planned.delete(number)
    const promptTokens = tokensOf(plan.prompt)
    const blockSizeTokens = pods[0]!.engine.pool.blockSizeTokens
    const chain = chainOf([...plan.prompt, plan.output], blockSizeTokens)
    const placement = scheduler.pick(featuresOf(plan, promptTokens, chain, model), [], this.nowS)
    if (typeof placement === "string") {
      this.refuse()
    } else {
      this.requests.set(number, {
        number,
        plan,
        stage: this.stageIndex,
        measured: this.nowS - this.stageStartS >= this.stage!.warmUpS,
        arrivedS: this.nowS,
        promptTokens,
        chain,
        reservation: placement.reservation,
        pod: pods.findIndex((pod) => pod.address.id === placement.address.id),
        firstTokenS: -1,
        cachedTokens: 0
      })
      this.events.push(this.nowS + path.toPodS, AT_POD, number)
    }
    if (fromStage) this.planNextArrival()
    else if (typeof placement === "string") this.endStageWhenIdle()
  }

  private reachPod(number: number): void {
    const request = this.requests.get(number)!
    const pod = this.options.pods[request.pod]!
    const { version } = pod
    const { chain, plan, promptTokens } = request
    if (!pod.submit({ owner: request, promptTokens, outputTokens: plan.output.tokens, chain }, this.nowS)) {
      this.options.scheduler.end(request.reservation, {}, this.nowS)
      this.requests.delete(number)
      this.refuse()
      this.endStageWhenIdle()
    } else if (pod.version !== version) {
      this.events.push(pod.wakeS, POD_WAKE, request.pod, pod.version)
    }
  }

  private wakePod(index: number, version: number): void {
    const pod = this.options.pods[index]!
    if (pod.version !== version) return
    const outcome = pod.wake()
    const seenS = this.nowS + this.options.path.fromPodS
    for (const { owner } of outcome.firstTokens) this.events.push(seenS, FIRST_TOKEN, owner.number)
    for (const { cachedTokens, owner } of outcome.finished) {
      owner.cachedTokens = cachedTokens
      this.events.push(seenS, END, owner.number)
    }
    pod.begin(this.nowS)
    if (pod.wakeS < Number.POSITIVE_INFINITY) this.events.push(pod.wakeS, POD_WAKE, index, pod.version)
  }

  private seeFirstToken(number: number): void {
    const request = this.requests.get(number)!
    request.firstTokenS = this.nowS
    this.options.scheduler.firstToken(request.reservation, this.nowS)
  }

  private seeEnd(number: number): void {
    const request = this.requests.get(number)!
    const { firstTokenS, plan } = request
    const outputTokens = plan.output.tokens
    this.requests.delete(number)
    this.options.scheduler.end(request.reservation, { outputTokens }, this.nowS)
    if (request.measured) {
      this.measurements.add({
        stage: request.stage,
        arrivedS: request.arrivedS,
        ttftS: firstTokenS - request.arrivedS,
        tpotS: outputTokens > 1 ? (this.nowS - firstTokenS) / (outputTokens - 1) : Number.NaN,
        endS: this.nowS,
        promptTokens: request.promptTokens,
        cachedTokens: request.cachedTokens,
        outputTokens
      })
    }
    this.countEnded()
    const next = plan.next?.()
    const lastAskS = this.stageStartS + (this.stage?.lastAskS ?? Number.POSITIVE_INFINITY)
    if (next !== undefined && this.nowS + next.afterS < lastAskS) this.plan(next, this.nowS, false)
    else this.endStageWhenIdle()
  }

  private refuse(): void {
    this.measurements.refused++
    this.countEnded()
  }

  private countEnded(): void {
    this.ended++
    if (this.ended % PROGRESS_EVERY === 0) this.options.progress?.(this.ended, this.nowS)
  }

  private scrape(index: number): void {
    const { path, pods } = this.options
    this.readings[index]!.push(pods[index]!.read(this.nowS))
    this.events.push(this.nowS + path.scrapeAgeS, SCRAPED, index)
    this.events.push(this.nowS + path.scrapeIntervalS, SCRAPE, index)
  }

  private observe(index: number): void {
    const { pods, scheduler } = this.options
    const { kvUsage, running, waiting } = this.readings[index]!.shift()!
    scheduler.observe(pods[index]!.address.id, true, running, waiting, kvUsage, this.nowS)
  }
}

const featuresOf = (
  plan: PlannedRequest,
  promptTokens: number,
  whole: BlockChain,
  model: string
): RequestFeatures => ({
  model,
  promptTokens,
  outputTokensMax: plan.outputTokensMax,
  generates: true,
  streams: true,
  chain: (blockSizeTokens) => prefixOf(whole, promptTokens, blockSizeTokens),
  tokensPerBlock: (blockSizeTokens) => blockSizeTokens,
  sessionHash: plan.sessionHash
})
