import type { Decision, RequestEnd, SchedulerPort } from "../../actors/SchedulerPort.ts"
import type { PodId } from "../../src/core/Pod.ts"
import type { RequestFeatures } from "../../src/core/RequestFeatures.ts"
import type { FrontMetrics } from "../../src/http/FrontMetrics.ts"
import { ClientAnswer } from "./ClientAnswer.ts"
import { promptIds } from "./WorldAnswer.ts"
import type { VirtualTime } from "./VirtualTime.ts"
import type { WorldGateway } from "./WorldGateway.ts"
import { RESCUE_BYTES_AMPLE, type WorldPlan } from "./WorldPlan.ts"
import { httpRequest, type WorldRequest } from "./WorldRequest.ts"

export interface ExchangeDeps {
  readonly plan: WorldPlan
  readonly time: VirtualTime
  readonly gateway: WorldGateway
  readonly onPicking: (exchange: WorldExchange) => void
  readonly onPicked: (exchange: WorldExchange, decision: Decision, excluded: ReadonlyArray<string>) => void
  readonly onOutcome: (exchange: WorldExchange, outcome: string) => void
  readonly cameBackSince: (id: PodId, sinceMs: number) => boolean
  readonly onRefused: (exchange: WorldExchange, error: unknown, excluded: ReadonlyArray<string>) => void
  readonly onRetryDenied: (why: string) => void
  readonly onRetry: (gateway: WorldGateway) => void
  readonly onViolation: (what: string) => void
  /** Reports of a failed pod, and first tokens, as the scheduler hears of them. */
  readonly onPodFailed: (gateway: WorldGateway, id: string, sure: boolean) => void
  readonly onPodServed: (id: PodId, reservation: number) => void
}

/** A client with its request, and a book of what the live front end does for it. */
export class WorldExchange {
  readonly request: WorldRequest
  readonly gateway: WorldGateway
  /** What is reserved for it now. */
  decision: Decision | undefined
  pickedMs = 0
  firstPickMs: number | undefined
  isPicking = false
  isSettled = false
  /** A pod gave up in a way that the gateway can't tell from an end, unless it was told token ids. */
  podGaveUp = false
  private readonly deps: ExchangeDeps
  private readonly client = new AbortController()
  private readonly answer: ClientAnswer
  private features: RequestFeatures | undefined
  private hasLeft = false
  private hasAnswer = false
  private ended: { readonly status: number; readonly outcome: RequestEnd["outcome"] } | undefined
  private tries = 0
  private lastTryMs = 0
  private retries = 0
  private firstBytesTooLate = 0
  /** Pods that refused the connection, which costs it none of its tries. */
  private refusals = 0
  private rescues = 0
  private denial: string | undefined
  private isOutOfTime = false

  constructor(request: WorldRequest, deps: ExchangeDeps) {
    this.request = request
    this.deps = deps
    this.gateway = deps.gateway
    this.answer = new ClientAnswer(request)
  }

  begin(): void {
    const { gateway, request } = this
    const sent = httpRequest(request, promptIds(request), this.client.signal)
    const answering = gateway.front.send(request.kind, sent, this.port, this.metrics)
    this.answer.read(answering).then(() => {
      this.hasAnswer = true
      this.checkEnd()
    }, (cause: unknown) => this.violation(`broke its client's answer: ${String(cause)}`))
  }

  /** Tried again for no other reason than that the first byte of a plain answer comes with its last. */
  get wasOnlyTooLong(): boolean {
    return !this.request.features.streams && this.retries === this.firstBytesTooLate
  }

  /** The client closed its connection. */
  leave(): void {
    if (this.isSettled || this.hasLeft) return
    this.hasLeft = true
    this.client.abort()
    this.checkEnd()
  }

  /** It is at a pod under this reservation. */
  holds(reservation: number): boolean {
    return this.decision?.reservation === reservation
  }

  /** The process of the gateway is no more, so nothing that it had in hand is ended in order. */
  gatewayLost(): void {
    if (!this.isSettled) this.settle("gateway-lost")
  }

  /** For a look at one that does not end. */
  get state(): string {
    const {
      decision,
      ended,
      hasAnswer,
      hasLeft,
      isPicking,
      rescues,
      request: { features: { streams }, kind, number }
    } = this
    return `${number} ${JSON.stringify({ decision, ended, hasAnswer, hasLeft, isPicking, kind, rescues, streams })}`
  }

  private readonly port: SchedulerPort = {
    pick: (features, excluded) => this.pick(features, excluded ?? []),
    cancel: () => {
      if (this.features !== undefined) this.gateway.scheduler.cancel(this.features)
      this.isPicking = false
    },
    firstToken: (reservation) => {
      this.gateway.scheduler.firstToken(reservation)
      const { decision } = this
      if (decision?.reservation === reservation) this.deps.onPodServed(decision.address.id, reservation)
    },
    end: (reservation, end) => this.end(reservation, end),
    retryAfterS: () => this.gateway.scheduler.retryAfterS(),
    podFailed: (id, failure) => {
      if (this.gateway.isGone) return
      this.deps.onPodFailed(this.gateway, id, failure.sure)
      this.gateway.scheduler.podFailed(id, failure)
      this.gateway.pool.podFailed(id, failure.why)
    }
  }

  private async pick(features: RequestFeatures, excluded: ReadonlyArray<string>): Promise<Decision> {
    const { deps, gateway, request } = this
    if (gateway.isGone) return new Promise(() => {})
    this.tries++
    this.lastTryMs = deps.time.nowMs
    if (this.decision !== undefined) this.violation("asks for a pod while it has one")
    if (this.tries - this.rescues - this.refusals > 1 + deps.plan.retriesMax) {
      this.violation(`is tried ${this.tries} times`)
    }
    // What it asks of caches is the world's, how it wishes to wait is what the front end read.
    const wish = features.wish && { ...features.wish, bytes: 4 * request.promptTokens }
    // A retry is known by the same features, so that it has what is left of the client's time.
    this.features ??= { ...request.features, wish }
    this.firstPickMs ??= deps.time.nowMs
    const asked = request.features.wish
    if (
      wish?.priority !== asked?.priority || wish?.flow !== asked?.flow ||
      Math.abs((wish?.waitMaxS ?? 0) - (asked?.waitMaxS ?? 0)) > 1e-9
    ) {
      this.violation("waits otherwise than its client wishes")
    }
    this.isPicking = true
    deps.onPicking(this)
    try {
      const decision = await gateway.scheduler.pick(this.features, excluded)
      if (gateway.isGone) return await new Promise(() => {})
      this.isPicking = false
      const { id } = decision.address
      if (excluded.includes(id) && !deps.cameBackSince(id, this.lastTryMs)) {
        this.violation(`was sent back to ${id}, which failed it`)
      }
      this.decision = decision
      this.pickedMs = deps.time.nowMs
      deps.onPicked(this, decision, excluded)
      return decision
    } catch (cause) {
      if (gateway.isGone) return new Promise(() => {})
      this.isPicking = false
      deps.onRefused(this, cause, excluded)
      throw cause
    }
  }

  private end(reservation: number, end: RequestEnd): void {
    if (this.gateway.isGone) return
    if (this.decision?.reservation !== reservation) {
      this.violation(`ends reservation ${reservation}, which it does not have`)
    }
    this.decision = undefined
    const { features: { streams }, includesUsage, outputTokens } = this.request
    const isCounted = !streams || includesUsage || this.rescues > 0
    if (
      end.outcome === "finished" && this.answer.status === 200 && isCounted && !this.podGaveUp &&
      end.outputTokens !== outputTokens
    ) {
      this.violation(
        `told the scheduler of ${end.outputTokens} output tokens, there were ${outputTokens}: ${this.state}`
      )
    }
    this.gateway.scheduler.end(reservation, end)
  }

  private readonly metrics: FrontMetrics = {
    requestStarted: () => {},
    requestEnded: (_, status, outcome) => {
      if (this.gateway.isGone) return
      if (this.ended !== undefined) this.violation(`ended twice: ${this.ended.outcome}, ${outcome}`)
      this.ended = { status, outcome }
      if (this.decision !== undefined) this.violation("ended with a reservation in hand")
      this.checkEnd()
    },
    firstByte: () => {},
    ttft: () => {},
    picked: () => {},
    retried: (reason) => {
      this.retries++
      if (reason !== "refused") this.deps.onRetry(this.gateway)
    },
    retryDenied: (why) => {
      const asked = this.tries - this.rescues - this.refusals
      if (why === "limit" && asked < 1 + this.deps.plan.retriesMax) this.violation(`has no try more after ${asked}`)
      this.deps.onRetryDenied(why)
    },
    rescued: (outcome) => {
      if (outcome === "begun" && ++this.rescues > this.deps.plan.rescuesMax) {
        this.violation(`is rescued ${this.rescues} times`)
      }
    },
    rescueDenied: (why) => {
      this.denial = why
      const hasRoom = this.deps.plan.rescueBytesMax === RESCUE_BYTES_AMPLE
      const isWrong = (why === "no-tokens" && hasRoom) || why === "length" ||
        (why === "not-text" && this.answer.text !== "") || (why === "limit" && this.rescues < this.deps.plan.rescuesMax)
      if (isWrong) this.violation(`was not rescued (${why}) after ${JSON.stringify(this.answer.text.slice(0, 40))}`)
    },
    podFailed: (_, reason) => {
      if (reason === "refused") this.refusals++
    },
    refused: () => {},
    timedOut: (phase) => {
      if (phase === "total") this.isOutOfTime = true
      if (phase === "first-byte") this.firstBytesTooLate++
    },
    tokens: () => {}
  }

  private checkEnd(): void {
    if (this.isSettled || this.ended === undefined || this.gateway.isGone) return
    if (!this.hasLeft && !this.hasAnswer) return
    this.settle(this.hasLeft ? "client-left" : this.outcome(this.ended.outcome))
  }

  /** What the client got, and whether it could be that. */
  private outcome(outcome: RequestEnd["outcome"]): string {
    const { answer, request } = this
    const retried = this.retries > 0 ? "-after-retry" : ""
    if (answer.status !== 200) {
      if (answer.code === "pod_unreachable" && this.tries === this.refusals) {
        this.violation("hears of a pod that refused it instead of another's answer")
      }
      return answer.code === undefined
        ? `pod-said-${answer.status}`
        : `${answer.code}${retried}`
    }
    const isKnown = request.rescues && this.deps.plan.rescueBytesMax === RESCUE_BYTES_AMPLE
    if (this.podGaveUp && !isKnown) return "given-up"
    const fault = outcome === "finished" ? answer.faultOfWhole() : answer.faultOfLost()
    if (fault !== undefined) this.violation(`${outcome}: ${fault}`)
    if (outcome === "finished") return this.rescues > 0 ? "rescued" : `finished${retried}`
    const isExcused = this.denial !== undefined || !request.rescues || this.isOutOfTime || this.rescues > 0
    if (!isExcused) this.violation("was lost in mid-stream though nothing speaks against a rescue")
    return `lost-mid-stream-${this.denial ?? (this.isOutOfTime ? "time" : "unwanted")}`
  }

  private settle(outcome: string): void {
    this.isSettled = true
    this.deps.onOutcome(this, outcome)
  }

  private violation(what: string): void {
    this.deps.onViolation(`request ${this.request.number} ${what}`)
  }
}
