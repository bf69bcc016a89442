import type { EngineConstants } from "../../src/core/EngineConstants.ts"
import type { PodAddress } from "../../src/core/Pod.ts"
import type { UpstreamErrorKind } from "../../src/http/upstream/UpstreamRequest.ts"
import { SimulatedPod } from "../../src/simulator/SimulatedPod.ts"
import type { PodMetrics } from "../../src/vllm/MetricsText.ts"
import type { VirtualTime } from "./VirtualTime.ts"
import type { PodUsage } from "./WorldAnswer.ts"
import type { WorldRequest } from "./WorldRequest.ts"

/**
 * hung: accepts connections and does nothing. partitioned: works, but nothing passes between it and the gateway.
 * paused: its process is stopped and goes on later as if nothing had been; what came meanwhile waits for it.
 * answers-503 and answers-500: to every request, while its health is good. engine-dead: 500, and /health says 503.
 * busy: to requests it answers, to questions about itself it does not.
 * slow-scrapes: metrics take longer than anybody waits, now and then. garbage-metrics: the page is not vLLM's.
 */
export const troubles = [
  "hung",
  "paused",
  "partitioned",
  "answers-503",
  "answers-500",
  "engine-dead",
  "busy",
  "slow-scrapes",
  "garbage-metrics"
] as const
export type Trouble = (typeof troubles)[number] | "none"

/** How a pod gives up in the middle of a stream without breaking the connection. */
export const surrenders = ["error-event", "cut", "abort"] as const
export type Surrender = (typeof surrenders)[number]

/** Who sent a request and hears what becomes of it. */
export interface Caller {
  /** Output tokens `from` up to `to` of the whole answer; of streams only. */
  readonly tokens: (from: number, to: number) => void
  readonly end: (usage: PodUsage) => void
  readonly gaveUp: (how: Surrender) => void
  /** The pod's own answer: it can't, or it won't have the request. */
  readonly answer: (status: 400 | 500 | 503) => void
  readonly broke: (kind: UpstreamErrorKind) => void
  /** Nothing comes any more, or again. */
  readonly stalled: (isStalled: boolean) => void
}

/** A request at a pod. */
export interface Call {
  readonly pod: FaultyPod
  readonly caller: Caller
  readonly request: WorldRequest
  /** Output tokens that came with the prompt, since another pod said them. */
  readonly said: number
  isOpen: boolean
  hasToken: boolean
  /** Output tokens up to which the caller has them, or will have. */
  sent: number
  /** What could not pass a partition. */
  readonly held: Array<() => void>
}

/** One way of the network. */
const HOP_MS = 1
/** A stream's tokens travel by as many, but for the first and the last. */
const TOKENS_AT_ONCE = 12

const keyOf = (low: number, high: number): number => high * 4_294_967_296 + low

/** One process of a pod, and what it has really computed: the truth that sketches are held against. */
export interface PodLife {
  readonly processStartS: number
  /** Blocks of prompts whose first token it gave; of plain answers, which do not show it, of all that it took on. */
  readonly blocks: Set<number>
}

/** A vLLM pod in virtual time that can be broken in many ways. Its engine is the simulator's. */
export class FaultyPod {
  readonly address: PodAddress
  readonly models: ReadonlyArray<string>
  readonly blockSizeTokens: number
  trouble: Trouble = "none"
  /** Since when nothing can come back from it; undefined while something can. */
  deafSinceMs: number | undefined = undefined
  /** When its last trouble ended; of use only while it has none. */
  wellSinceMs: number
  life: PodLife
  readonly lives: Array<PodLife> = []
  readonly calls = new Set<Call>()
  private readonly time: VirtualTime
  private readonly epochMs: number
  private readonly sim: SimulatedPod<Call>
  /** Its engine has a step to end as soon as it goes on. */
  private wokeWhileStopped = false
  /** What came while it was paused, in order. */
  private readonly backlog: Array<() => void> = []
  private readonly goingOn: Array<() => void> = []

  constructor(
    address: PodAddress,
    models: ReadonlyArray<string>,
    constants: EngineConstants,
    blockSizeTokens: number,
    maxNumSeqs: number,
    time: VirtualTime
  ) {
    this.address = address
    this.models = models
    this.blockSizeTokens = blockSizeTokens
    this.time = time
    this.epochMs = time.nowMs
    this.wellSinceMs = time.nowMs
    this.sim = new SimulatedPod(address, constants, blockSizeTokens, maxNumSeqs)
    this.life = this.newLife()
  }

  get alive(): boolean {
    return this.sim.alive
  }

  get isWell(): boolean {
    return this.alive && this.trouble === "none"
  }

  get kvCapacityTokens(): number {
    return this.sim.kvCapacityTokens
  }

  /** A request arrives there; the caller hears of it, if at all, no sooner than after two hops. */
  take(call: Call): void {
    this.calls.add(call)
    this.time.after(HOP_MS, () => this.takeNow(call))
  }

  /** The caller closed its connection. */
  drop(call: Call): void {
    call.isOpen = false
    this.calls.delete(call)
    if (!this.alive) return
    const abort = (): void => this.sim.abort(call, this.nowS)
    if (this.trouble === "partitioned") call.held.push(abort)
    else if (this.trouble === "paused") this.backlog.push(abort)
    else abort()
    this.schedule()
  }

  kill(): void {
    this.sim.crash()
    this.deafSinceMs ??= this.time.nowMs
    // Word of it does not pass a partition either.
    for (const call of this.trouble === "partitioned" ? [] : this.calls) {
      this.endWith(call, () => call.caller.broke(isUnderWay(call) ? "truncated" : "broken"))
    }
    this.calls.clear()
    this.backlog.length = 0
    this.tellGoingOn()
  }

  /** A new process with an empty cache, on the same address. */
  restart(): void {
    if (this.alive) return
    this.trouble = "none"
    this.deafSinceMs = undefined
    this.sim.restart()
    this.life = this.newLife()
    this.wokeWhileStopped = false
    this.wellSinceMs = this.time.nowMs
  }

  setTrouble(trouble: Trouble): void {
    if (!this.alive) return
    const wasStill = isStill(this.trouble)
    if (this.trouble !== "none" && trouble === "none") this.wellSinceMs = this.time.nowMs
    this.trouble = trouble
    const still = isStill(trouble)
    this.deafSinceMs = still ? this.deafSinceMs ?? this.time.nowMs : undefined
    if (still !== wasStill) { for (const call of this.calls) call.caller.stalled(still) }
    if (trouble !== "partitioned") {
      for (const call of this.calls) for (const send of call.held.splice(0)) this.send(call, send, true)
    }
    if (!isStopped(trouble) && this.wokeWhileStopped) {
      this.wokeWhileStopped = false
      this.wake(this.sim.version)
    }
    if (trouble !== "paused") {
      for (const go of this.backlog.splice(0)) go()
      this.schedule()
      this.tellGoingOn()
    }
    if (trouble === "engine-dead") this.giveUpAll()
  }

  /** A paused process goes on, or ends. */
  whenGoesOn(): Promise<void> {
    return new Promise((resolve) => this.goingOn.push(resolve))
  }

  metrics(): PodMetrics {
    const { running, waiting, kvUsage } = this.sim.read(this.nowS)
    const { counters, pool } = this.sim.engine
    return {
      running,
      waiting,
      kvUsage,
      blockSizeTokens: this.blockSizeTokens,
      gpuBlocks: pool.usableBlocks + 1,
      processStartS: this.life.processStartS,
      promptTokensTotal: counters.promptTokens,
      generationTokensTotal: counters.generationTokens,
      awake: true
    }
  }

  /** Blocks of a prompt at the front that a life has, at most. */
  static blocksHeld(life: PodLife, request: WorldRequest, blockSizeTokens: number): number {
    const { high, length, low } = request.features.chain(blockSizeTokens)
    let held = 0
    while (held < length && life.blocks.has(keyOf(low[held]!, high[held]!))) held++
    return held
  }

  private takeNow(call: Call): void {
    const { trouble } = this
    if (!call.isOpen || trouble === "hung") return
    if (trouble === "paused") return void this.backlog.push(() => this.takeNow(call))
    if (!this.alive) return this.endWith(call, () => call.caller.broke("refused"))
    if (trouble === "answers-503") return this.endWith(call, () => call.caller.answer(503))
    if (trouble === "answers-500" || trouble === "engine-dead") return this.endWith(call, () => call.caller.answer(500))
    const { features } = call.request
    const promptTokens = call.request.promptTokens + call.said
    const outputTokens = call.request.outputTokens - call.said
    if (promptTokens + outputTokens > this.kvCapacityTokens) return this.endWith(call, () => call.caller.answer(400))
    const chain = features.chain(this.blockSizeTokens)
    if (!features.streams) note(this.life.blocks, call.request, this.blockSizeTokens)
    this.sim.submit({ owner: call, promptTokens, outputTokens, chain }, this.nowS)
    this.schedule()
  }

  private schedule(): void {
    const { version, wakeS } = this.sim
    if (wakeS === Number.POSITIVE_INFINITY) return
    this.time.after(this.epochMs + wakeS * 1000 - this.time.nowMs, () => this.wake(version))
  }

  private wake(version: number): void {
    if (!this.alive || version !== this.sim.version) return
    if (isStopped(this.trouble)) {
      this.wokeWhileStopped = true
      return
    }
    const outcome = this.sim.wake()
    const news: Array<News> = []
    for (const { outputDone, owner: call } of outcome.firstTokens) {
      call.hasToken = true
      note(this.life.blocks, call.request, this.blockSizeTokens)
      tellTokens(news, call, outputDone)
    }
    for (const { outputDone, owner: call } of this.sim.engine.running) {
      if (call.hasToken && call.said + outputDone - call.sent >= TOKENS_AT_ONCE) tellTokens(news, call, outputDone)
    }
    for (const { cachedTokens, outputDone, owner: call } of outcome.finished) {
      tellTokens(news, call, outputDone)
      news.push([call, () => {
        this.forget(call)
        call.caller.end({ cachedTokens, outputTokens: outputDone })
      }])
    }
    this.sendAll(news)
    this.sim.begin(this.nowS)
    this.schedule()
  }

  /** The engine died under its API server. */
  private giveUpAll(): void {
    for (const call of this.calls) {
      this.sim.abort(call, this.nowS)
      const how = surrenders[call.request.number % surrenders.length] ?? "cut"
      // What its last step still brings comes too late.
      const wasUnderWay = isUnderWay(call)
      this.endWith(call, () => wasUnderWay ? call.caller.gaveUp(how) : call.caller.answer(500))
    }
    this.schedule()
  }

  /** The last that the caller hears. */
  private endWith(call: Call, tell: () => void): void {
    this.send(call, () => {
      this.forget(call)
      tell()
    })
  }

  private forget(call: Call): void {
    call.isOpen = false
    this.calls.delete(call)
  }

  /** Many travel together. */
  private sendAll(news: ReadonlyArray<News>): void {
    if (news.length === 0) return
    if (this.trouble === "partitioned") { for (const [call, tell] of news) call.held.push(tell) }
    else {this.time.after(HOP_MS, () => {
        for (const [call, tell] of news) if (call.isOpen) tell()
      })}
  }

  private send(call: Call, tell: () => void, atOnce = false): void {
    if (this.trouble === "partitioned" && !atOnce) {
      call.held.push(tell)
      return
    }
    this.time.after(HOP_MS, () => {
      if (call.isOpen) tell()
    })
  }

  private tellGoingOn(): void {
    for (const resolve of this.goingOn.splice(0)) resolve()
  }

  private newLife(): PodLife {
    const life = { processStartS: this.time.nowMs / 1000, blocks: new Set<number>() }
    this.lives.push(life)
    return life
  }

  private get nowS(): number {
    return (this.time.nowMs - this.epochMs) / 1000
  }
}

type News = readonly [call: Call, tell: () => void]

const tellTokens = (news: Array<News>, call: Call, outputDone: number): void => {
  const from = call.sent
  const to = call.said + outputDone
  if (!call.request.features.streams || to === from) return
  call.sent = to
  news.push([call, () => call.caller.tokens(from, to)])
}

/** Some of its answer has come. */
const isUnderWay = ({ hasToken, request }: Call): boolean => hasToken && request.features.streams

/** Its engine makes no step. */
const isStopped = (trouble: Trouble): boolean => trouble === "hung" || trouble === "paused"

const isStill = (trouble: Trouble): boolean => isStopped(trouble) || trouble === "partitioned"

const note = (blocks: Set<number>, { features }: WorldRequest, blockSizeTokens: number): void => {
  const { high, length, low } = features.chain(blockSizeTokens)
  for (let at = 0; at < length; at++) blocks.add(keyOf(low[at]!, high[at]!))
}
