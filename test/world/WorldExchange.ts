import type { Decision, RequestEnd, SchedulerPort } from "../../actors/SchedulerPort.ts"
import { GatewayError } from "../../src/errors.ts"
import { Attempts } from "../../src/http/retry/Attempts.ts"
import { faultOfError, faultOfStatus, type PodFault } from "../../src/http/retry/PodFault.ts"
import type { UpstreamErrorKind } from "../../src/http/upstream/UpstreamRequest.ts"
import type { Call, Caller } from "./FaultyPod.ts"
import type { FaultyFleet } from "./FaultyFleet.ts"
import type { VirtualTime } from "./VirtualTime.ts"
import type { WorldGateway } from "./WorldGateway.ts"
import type { WorldPlan } from "./WorldPlan.ts"
import type { WorldRequest } from "./WorldRequest.ts"

export interface ExchangeDeps {
  readonly plan: WorldPlan
  readonly time: VirtualTime
  readonly fleet: FaultyFleet
  readonly gateway: WorldGateway
  readonly onPicking: (exchange: WorldExchange) => void
  readonly onPicked: (exchange: WorldExchange, decision: Decision) => void
  /** Every time that the exchange believes to be over; more than once is a fault. */
  readonly onOutcome: (exchange: WorldExchange, outcome: string) => void
  readonly onViolation: (what: string) => void
  /** Reports of a failed pod, and first tokens, as the scheduler hears of them. */
  readonly onPodFailed: (gateway: WorldGateway, id: string, sure: boolean) => void
  readonly onPodServed: (id: string) => void
}

const PROBE_TIMEOUT_MS = 3000

/**
 * A client with the front end's part of its request: what `ProxyExchange` does with the scheduler, without HTTP.
 * As there: a pick with the pods that failed, `cancel` when the client leaves before it, `firstToken` at the first
 * bytes, `podFailed` through `Attempts`, one `end` for each decision, a retry only before the first token and within
 * limit and budget, and one settling of the whole. Streams whose pod is lost are not continued elsewhere here.
 */
export class WorldExchange implements Caller {
  readonly request: WorldRequest
  readonly gateway: WorldGateway
  readonly arrivedMs: number
  decision: Decision | undefined
  isPicking = false
  isSettled = false
  private readonly deps: ExchangeDeps
  private readonly port: SchedulerPort
  private attempts: Attempts | undefined
  private call: Call | undefined
  private hasToken = false
  private timer: ReturnType<VirtualTime["after"]> | undefined

  constructor(request: WorldRequest, deps: ExchangeDeps) {
    this.request = request
    this.deps = deps
    this.gateway = deps.gateway
    this.arrivedMs = deps.time.nowMs
    const { cancel, end, firstToken, pick, podFailed } = deps.gateway.scheduler
    this.port = {
      pick,
      cancel,
      end,
      firstToken,
      podFailed: (id, failure) => {
        deps.onPodFailed(deps.gateway, id, failure.sure)
        podFailed(id, failure)
        deps.gateway.pool.podFailed(id, failure.why)
      }
    }
  }

  begin(): void {
    this.gateway.openExchanges++
    this.gateway.retryBudget.earn(this.gateway.nowS)
    this.dispatch()
  }

  /** The client closed its connection. */
  leave(): void {
    if (this.isSettled) return
    this.dropCall()
    if (this.decision === undefined) {
      this.port.cancel(this.request.features)
      this.isPicking = false
    }
    this.settle("aborted", "client-left")
  }

  /** The process of the gateway is no more, so nothing that it had in hand is ended in order. */
  gatewayLost(): void {
    if (this.isSettled) return
    this.dropCall()
    this.isSettled = true
    this.deps.onOutcome(this, "gateway-lost")
  }

  firstToken(): void {
    // A plain answer comes as one, with its end.
    if (this.request.features.streams) this.firstBytes()
  }

  end(usage: { readonly promptTokens: number; readonly cachedTokens: number; readonly outputTokens: number }): void {
    if (!this.request.features.streams) this.firstBytes()
    this.settle("finished", this.attempts === undefined ? "finished" : "finished-after-retry", usage)
  }

  answer(status: 400 | 500 | 503): void {
    if (status === 400) this.settle("finished", "refused-by-pod")
    else this.tryFailed(faultOfStatus(status), `answer-${status}`)
  }

  broke(kind: UpstreamErrorKind): void {
    this.dropCall()
    this.tryFailed(faultOfError({ kind, message: kind, answered: this.hasToken }), kind)
  }

  stalled(isStalled: boolean): void {
    if (!this.hasToken) return
    this.stopTimer()
    if (isStalled) this.startTimer(this.deps.plan.silenceTimeoutMs, "silent")
  }

  private firstBytes(): void {
    this.stopTimer()
    this.hasToken = true
    this.attempts?.served(this.port)
    const { decision } = this
    if (decision === undefined) return
    this.port.firstToken(decision.reservation)
    this.deps.onPodServed(decision.address.id)
  }

  private dispatch(): void {
    this.isPicking = true
    this.deps.onPicking(this)
    this.port.pick(this.request.features, this.attempts?.failedPods).then(
      (decision) => this.picked(decision),
      (cause: unknown) => this.refused(cause)
    )
  }

  private picked(decision: Decision): void {
    if (this.gateway.isGone) return
    this.isPicking = false
    if (this.attempts?.failedPods.includes(decision.address.id) === true) {
      this.deps.onViolation(`request ${this.request.number} was sent back to ${decision.address.id}, which failed it`)
    }
    if (this.isSettled) return this.port.end(decision.reservation, { outcome: "aborted" })
    this.decision = decision
    this.deps.onPicked(this, decision)
    const { connectTimeoutMs, firstByteTimeoutMs } = this.deps.plan
    const { id } = decision.address
    const isCut = this.deps.fleet.podOf(id).trouble === "partitioned"
    if (isCut) return this.startTimer(connectTimeoutMs, "connect-timeout")
    this.call = this.deps.fleet.send(id, this.request, this)
    this.startTimer(decision.probes === true ? PROBE_TIMEOUT_MS : firstByteTimeoutMs, "first-byte-timeout")
  }

  private refused(cause: unknown): void {
    if (this.gateway.isGone) return
    this.isPicking = false
    if (!(cause instanceof GatewayError)) this.deps.onViolation(`a pick failed with ${String(cause)}`)
    if (this.isSettled) return
    const code = cause instanceof GatewayError ? cause.code : String(cause)
    this.settle("failed", this.attempts === undefined ? code : `${code}-after-try`)
  }

  private tryFailed(fault: PodFault, why: string): void {
    const { decision, deps: { plan } } = this
    if (decision === undefined) return
    this.stopTimer()
    const attempts = this.attempts ??= new Attempts()
    attempts.failed(decision, fault, this.port)
    if (this.hasToken) return this.settle("failed", `lost-mid-stream-${why}`)
    const { nowS, retryBudget: budget } = this.gateway
    const denial = attempts.denial(fault, { retriesMax: plan.retriesMax, repeatable: true, budget, nowS })
    if (denial !== undefined) return this.settle("failed", `${why}-${denial}`)
    this.port.end(decision.reservation, { outcome: "failed" })
    this.decision = undefined
    this.call = undefined
    this.hasToken = false
    this.dispatch()
  }

  private settle(outcome: RequestEnd["outcome"], why: string, usage?: Omit<RequestEnd, "outcome">): void {
    this.stopTimer()
    if (!this.isSettled) {
      this.isSettled = true
      this.gateway.openExchanges--
      this.attempts?.over(this.port)
      if (this.decision !== undefined) this.port.end(this.decision.reservation, { outcome, ...usage })
      this.decision = undefined
    }
    this.deps.onOutcome(this, why)
  }

  private startTimer(ms: number, kind: UpstreamErrorKind): void {
    this.stopTimer()
    this.timer = this.deps.time.after(ms, () => this.broke(kind))
  }

  private stopTimer(): void {
    this.deps.time.cancel(this.timer)
    this.timer = undefined
  }

  private dropCall(): void {
    this.stopTimer()
    if (this.call?.isOpen === true) this.call.pod.drop(this.call)
    this.call = undefined
  }
}
