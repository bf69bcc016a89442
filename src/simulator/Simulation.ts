import type { Refusal } from "../core/Placement.ts"
import type { Scheduler } from "../core/Scheduler.ts"
import type { AdmissionOptions, WaitRefusal } from "../core/waiting/AdmissionOptions.ts"
import { EventHeap } from "./EventHeap.ts"
import type { Fleet } from "./Fleet.ts"
import { type Dispatch, Gateways } from "./Gateways.ts"
import { joinPod } from "./joinPod.ts"
import { type Measured, Measurements, type Slo } from "./Measurements.ts"
import { PodWatch } from "./PodWatch.ts"
import { chainOf, tokensOf } from "./promptChain.ts"
import type { SeededRandom } from "./SeededRandom.ts"
import type { SimulatedPod } from "./SimulatedPod.ts"
import { featuresOf, measuredOf, type SimulatedRequest } from "./SimulatedRequest.ts"
import { Stages } from "./Stages.ts"
import type { Workload } from "./Workload.ts"

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
  /** One a gateway. */
  readonly schedulers: ReadonlyArray<Scheduler>
  readonly fleet: Fleet
  /** In the order of the fleet's. */
  readonly pods: ReadonlyArray<SimulatedPod<SimulatedRequest>>
  /** Says which gateway a request comes to. */
  readonly random: SeededRandom
  readonly model: string
  readonly path: PathTimes
  /** What `sloShare` counts. Default: TTFT of 2 s and TPOT of 50 ms. */
  readonly slo?: Slo | undefined
  /** Told of each measured request as it ends. */
  readonly onMeasured?: ((request: Measured) => void) | undefined
  /** How gateways hold requests while every pod would queue them; undefined: they don't. */
  readonly holding?: AdmissionOptions | undefined
  /** Told now and then how many requests ended, and at which virtual time. */
  readonly progress?: ((ended: number, nowS: number) => void) | undefined
}

// Kinds of events; the subject is a request's number or a pod's.
const ARRIVAL = 0
const AT_POD = 1
const POD_WAKE = 2
const FIRST_TOKEN = 3
const END = 4
const SCRAPE = 5
const SCRAPED = 6
const POD_JOINS = 7
const POD_DIES = 8
const POD_RETURNS = 9
const BROKEN = 10
const NEWS = 11

const PROGRESS_EVERY = 500

/** Further pods that a gateway tries when one fails before the answer began: its default. */
const RETRIES_MAX = 2

/**
 * The world in virtual time: clients of a workload, gateways with the scheduler that serves real traffic, and pods
 * that are engine models. The scheduler hears of first tokens and ends when the gateway would see them, and of
 * metrics when a scrape would bring them. Deterministic: no clock, no chance but what the options bring. One file, since
 * what each event does is best read beside the others.
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
  private readonly stages: Stages
  private readonly gateways: Gateways
  private readonly watches: ReadonlyArray<PodWatch>

  constructor(options: SimulationOptions) {
    const { fleet, pods, schedulers, slo } = options
    this.options = options
    this.measurements = new Measurements(slo)
    this.stages = new Stages(options.workload, (atS, number, fromStage) => {
      this.events.push(atS, ARRIVAL, number, fromStage ? 1 : 0)
    })
    this.watches = pods.map((pod) => new PodWatch(schedulers, pod))
    const { sharedAfterS } = fleet
    const announce = sharedAfterS === undefined ? undefined : () => this.events.push(this.nowS + sharedAfterS, NEWS, 0)
    const holding = options.holding === undefined ? undefined : {
      options: options.holding,
      goOn: (number: number, outcome: Dispatch | Refusal | WaitRefusal) => {
        const request = this.requests.get(number)!
        if (!this.goOn(request, outcome)) this.endStageWhenIdle()
      }
    }
    this.gateways = new Gateways(schedulers, pods.map(({ address }) => address), holding, announce)
  }

  /** Runs the workload to its end. */
  run(): void {
    const { fleet, path } = this.options
    for (const [pod, { diesAtS, joinsAtS, returnsAtS }] of fleet.pods.entries()) {
      if (joinsAtS > 0) this.events.push(joinsAtS, POD_JOINS, pod)
      this.events.push(joinsAtS + path.scrapeIntervalS * pod / fleet.pods.length, SCRAPE, pod)
      if (diesAtS !== undefined) this.events.push(diesAtS, POD_DIES, pod)
      if (returnsAtS !== undefined) this.events.push(returnsAtS, POD_RETURNS, pod)
    }
    this.startStage()
    while (this.stages.isRunning && this.events.pop()) {
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
      case SCRAPED:
        this.watches[subject]!.arrive(this.nowS)
        return this.gateways.settle(this.nowS)
      case POD_JOINS:
        return joinPod(this.options.schedulers, this.options.fleet, this.options.pods, subject, this.options.model)
      case POD_DIES:
        return this.killPod(subject)
      case POD_RETURNS:
        return this.options.pods[subject]!.restart()
      case BROKEN:
        return this.seeBroken(subject)
      default:
        return this.gateways.hearNext(this.nowS)
    }
  }

  private startStage(): void {
    if (this.stages.startNext(this.nowS)) this.planNextArrival()
  }

  private planNextArrival(): void {
    if (!this.stages.drawNext()) this.endStageWhenIdle()
  }

  private endStageWhenIdle(): void {
    if (this.requests.size === 0 && !this.stages.hasPlans) this.startStage()
  }

  private arrive(number: number, fromStage: boolean): void {
    const { model, pods } = this.options
    const plan = this.stages.arrived(number)
    const promptTokens = tokensOf(plan.prompt)
    const blockSizeTokens = pods[0]!.engine.pool.blockSizeTokens
    const chain = chainOf([...plan.prompt, plan.output], blockSizeTokens)
    const request: SimulatedRequest = {
      number,
      plan,
      stage: this.stages.index,
      measured: this.stages.isMeasured(this.nowS),
      arrivedS: this.nowS,
      promptTokens,
      chain,
      features: featuresOf(plan, promptTokens, chain, model),
      dispatch: undefined,
      pod: -1,
      excluded: [],
      firstTokenS: -1,
      cachedTokens: 0
    }
    this.requests.set(number, request)
    const isTaken = this.dispatch(request, this.anyGateway())
    if (fromStage) this.planNextArrival()
    else if (!isTaken) this.endStageWhenIdle()
  }

  private anyGateway(): number {
    const { count } = this.gateways
    return count === 1 ? 0 : this.options.random.below(count)
  }

  /** Sends a request on its way to a pod; false when it was refused. */
  private dispatch(request: SimulatedRequest, gateway: number): boolean {
    const outcome = this.gateways.pick(gateway, request, this.nowS)
    return outcome === "waiting" || this.goOn(request, outcome)
  }

  /** A request is placed, or refused: then false. */
  private goOn(request: SimulatedRequest, dispatch: Dispatch | Refusal | WaitRefusal): boolean {
    const { path, pods } = this.options
    if (typeof dispatch === "string") {
      this.refuse(request.number)
      return false
    }
    request.dispatch = dispatch
    request.pod = pods.findIndex((pod) => pod.address.id === dispatch.placement.address.id)
    this.events.push(this.nowS + path.toPodS, AT_POD, request.number)
    return true
  }

  private reachPod(number: number): void {
    const request = this.requests.get(number)!
    const pod = this.options.pods[request.pod]!
    if (!pod.alive) return this.seeBroken(number)
    const { version } = pod
    const { chain, plan, promptTokens } = request
    if (!pod.submit({ owner: request, promptTokens, outputTokens: plan.output.tokens, chain }, this.nowS)) {
      this.gateways.end(request.dispatch!, 0, this.nowS)
      this.refuse(number)
      this.endStageWhenIdle()
    } else if (pod.version !== version) {
      this.events.push(pod.wakeS, POD_WAKE, request.pod, pod.version)
    }
  }

  private killPod(index: number): void {
    const brokenS = this.nowS + this.options.path.fromPodS
    for (const { number } of this.options.pods[index]!.crash()) this.events.push(brokenS, BROKEN, number)
  }

  /**
   * The gateway sees that the pod is gone. It tries another one if the answer had not begun; if it had, the client
   * asks again at once, its first token seen and the gap part of its time.
   */
  private seeBroken(number: number): void {
    const request = this.requests.get(number)!
    const { gateway } = request.dispatch!
    this.gateways.end(request.dispatch!, 0, this.nowS)
    this.watches[request.pod]!.failed(gateway, this.nowS)
    const hasBegun = request.firstTokenS >= 0
    request.excluded = hasBegun ? [] : [...request.excluded, this.options.pods[request.pod]!.address.id]
    if (request.excluded.length > RETRIES_MAX) {
      this.refuse(number)
      this.endStageWhenIdle()
    } else if (!this.dispatch(request, hasBegun ? this.anyGateway() : gateway)) {
      this.endStageWhenIdle()
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
    if (request.firstTokenS < 0) request.firstTokenS = this.nowS
    this.gateways.firstToken(request.dispatch!, this.nowS)
  }

  private seeEnd(number: number): void {
    const request = this.requests.get(number)!
    const { plan } = request
    this.requests.delete(number)
    this.gateways.end(request.dispatch!, plan.output.tokens, this.nowS)
    if (request.measured) {
      const measured = measuredOf(request, this.nowS)
      this.measurements.add(measured)
      this.options.onMeasured?.(measured)
    }
    this.countEnded()
    if (!this.stages.askAgain(plan, this.nowS)) this.endStageWhenIdle()
  }

  private refuse(number: number): void {
    this.requests.delete(number)
    this.measurements.refused++
    this.countEnded()
  }

  private countEnded(): void {
    this.ended++
    if (this.ended % PROGRESS_EVERY === 0) this.options.progress?.(this.ended, this.nowS)
  }

  private scrape(index: number): void {
    const { path } = this.options
    this.watches[index]!.scrape(this.nowS)
    this.events.push(this.nowS + path.scrapeAgeS, SCRAPED, index)
    this.events.push(this.nowS + path.scrapeIntervalS, SCRAPE, index)
  }
}
