import type { Decision, RequestEnd } from "../../actors/SchedulerPort.ts"
import type { PodAddress } from "../core/Pod.ts"
import { type GatewayError, NoPodAvailable, PodUnreachable, TimedOut } from "../errors.ts"
import { AnswerFlow, type AnswerOwner } from "./AnswerFlow.ts"
import type { Usage } from "./AnswerTail.ts"
import { isEventStream, wholeBody } from "./answerBody.ts"
import { type DecisionSample, sampleDecision } from "./decisionSample.ts"
import { timeoutPhase, upstreamGatewayError } from "./errors.ts"
import { podBroke } from "./exchangeErrors.ts"
import type { PromptFeatures } from "./features/PromptFeatures.ts"
import type { ReadRequest } from "./features/readRequest.ts"
import { PodRequest } from "./PodRequest.ts"
import { PodTry, type TriesOwner } from "./PodTry.ts"
import { withTokenIds } from "./rescue/continuedBody.ts"
import { maxModelLenOf, tellsEveryToken } from "./rescue/podFacts.ts"
import { StreamRescue } from "./rescue/StreamRescue.ts"
import { Attempts } from "./retry/Attempts.ts"
import { faultOfError, isFaultStatus, type PodFault } from "./retry/PodFault.ts"
import { GuardedHandler } from "./upstream/GuardedHandler.ts"
import type { RequestBody, ResponseHead, UpstreamError, UpstreamRequest } from "./upstream/UpstreamRequest.ts"

/**
 * One request at the pods: a pick, a try, another one where that failed. A `PodTry` is the pod in hand, an `AnswerFlow`
 * what the client gets of its answer. It is itself the upstream's handler and the feeder of the answer's stream, so that
 * a try makes no closures; and one file, since a retry and a rescue are two ways through one state.
 */
export class PodTries extends GuardedHandler implements AnswerOwner {
  private readonly owner: TriesOwner
  private readonly features: PromptFeatures
  private readonly renamed: ReadRequest["renamed"]
  private readonly request: PodRequest
  /** The pod in hand; none before the first pick, between two, and after the end. */
  private podTry: PodTry | undefined
  /** A pick is under way. */
  private isPicking = false
  /** From the coming of a pod's answer on. */
  private flow: AnswerFlow | undefined
  /** Made when the first try has failed. */
  private attempts: Attempts | undefined
  /** For streams that another pod could go on with. */
  private readonly rescue: StreamRescue | undefined
  /** What the decision log keeps; decided at the first pick, undefined when it is not in the sample. */
  private sample: DecisionSample | undefined

  /** `target`: path and query. */
  constructor(
    owner: TriesOwner,
    read: ReadRequest<RequestBody>,
    target: string,
    headerLines: string,
    mayBeRescued: boolean
  ) {
    super()
    const { body, features, isRepeatable, renamed, terms } = read
    this.owner = owner
    this.features = features
    this.renamed = renamed
    const { deps: { options }, front: { rescueBytes } } = owner
    const isRescued = terms !== undefined && mayBeRescued && body instanceof Uint8Array
    if (isRescued) this.rescue = new StreamRescue(terms, rescueBytes, options.rescue)
    const sent = isRescued && !terms.showsTokenIds ? withTokenIds(body) : body
    this.request = new PodRequest(target, headerLines, sent, isRepeatable)
  }

  /** Picks a pod and sends the request there. */
  async dispatch(): Promise<void> {
    const { features, owner: { deps: { decisionLog, metrics, scheduler }, route } } = this
    const askedMs = performance.now()
    let podTry: PodTry | undefined
    this.isPicking = true
    try {
      podTry = this.begin(await scheduler.pick(features, this.attempts?.failedPods))
    } catch (cause) {
      if (this.owner.settled) return
      const error = this.owner.errorOf(cause)
      if (error instanceof TimedOut) metrics.timedOut(error.phase)
      if (this.attempts === undefined) return this.owner.refuse(error)
      metrics.retryDenied("no-pod")
      if (error instanceof NoPodAvailable) this.attempts.noneIsLeft(error)
      return this.giveUp(this.attempts, "failed")
    } finally {
      this.isPicking = false
    }
    if (podTry === undefined) return
    metrics.picked(route.path, (podTry.pickedMs - askedMs) / 1000)
    if (decisionLog !== undefined && this.attempts === undefined) this.sample = sampleDecision(decisionLog, features)
    this.send(podTry, this.request.whole(podTry.firstByteTimeoutMs))
  }

  /** The try that a pick leads to; undefined when the request ended meanwhile. */
  private begin(decision: Decision): PodTry | undefined {
    if (!this.owner.settled) return this.podTry = new PodTry(this.owner, this.features.model, decision)
    this.owner.deps.scheduler.end(decision.reservation, { outcome: "aborted" })
    return undefined
  }

  private send(podTry: PodTry, request: UpstreamRequest): void {
    podTry.call = this.owner.front.client.request(podTry.decision.address, request, this)
  }

  protected defect(cause: unknown): void {
    this.fail(this.owner.errorOf(cause))
  }

  protected headCame(head: ResponseHead): void {
    if (this.rescue?.continues === true) return this.continues(head, this.rescue)
    const { deps: { options }, route } = this.owner
    this.flow = new AnswerFlow(head, this, options, this.renamed, route.prompt)
  }

  protected bytesCame(bytes: Uint8Array): void {
    const { flow, rescue } = this
    if (flow === undefined) return
    if (rescue === undefined || !flow.isEventStream) return this.take(flow, bytes)
    const ours = rescue.push(bytes)
    if (ours.length > 0) this.take(flow, ours)
    if (rescue.surrendered) this.brokeOff("it ended a stream with an error", "unsure")
  }

  private take(flow: AnswerFlow, bytes: Uint8Array): void {
    if (flow.holdsBack(bytes)) {
      if (flow.surrender !== undefined) this.brokeOff(flow.surrender, "unsure")
      return
    }
    const { podTry } = this
    if (podTry?.firstTokenSeen === false && podTry.beginsIn(flow, bytes)) {
      this.attempts?.served(this.owner.deps.scheduler)
      podTry.firstToken(flow.isEventStream, this.rescue?.continues === true)
    }
    flow.push(bytes)
  }

  protected endCame(): void {
    const { flow, rescue } = this
    if (flow === undefined) return
    if (flow.isEventStream && rescue?.isCut === true) return this.brokeOff("it ended a stream early", "pod")
    const held = rescue?.rest()
    if (held !== undefined) this.take(flow, held)
    if (flow.isCut) return this.brokeOff("it ended a stream early", "pod")
    flow.passOnRest()
    const { fault } = flow
    if (fault !== undefined) return this.tryFailed(fault, undefined)
    flow.respondWhole()
    this.owner.settle("finished", flow.status, rescue?.usage ?? flow.usage())
    flow.end()
  }

  protected errorCame(error: UpstreamError): void {
    const { metrics, scheduler } = this.owner.deps
    const phase = timeoutPhase(error)
    if (phase !== undefined) metrics.timedOut(phase)
    this.tryFailed(faultOfError(error), upstreamGatewayError(error, scheduler.retryAfterS()))
  }

  pause(): void {
    this.podTry?.call?.pause()
  }

  resume(): void {
    this.podTry?.call?.resume()
  }

  clientGone(): void {
    this.owner.clientGone()
  }

  clientStalled(): void {
    this.owner.clientGone()
    this.owner.deps.metrics.timedOut("client")
  }

  respond(head: ResponseHead, body: BodyInit | null): void {
    if (this.podTry !== undefined) this.answerWith(head, body, this.podTry.decision.address)
  }

  /** Thousands of streams may be open for minutes, so what only another try would need goes with the first bytes. */
  private answerWith(head: ResponseHead, body: BodyInit | null, pod: PodAddress): void {
    const mayGoOn = this.rescue !== undefined
    this.request.answered(mayGoOn)
    this.features.release(mayGoOn)
    // Another name and token ids taken out make for another length, which Bun then finds out by itself.
    const isAsItCame = this.renamed === undefined && !mayGoOn
    this.owner.respond(isAsItCame ? head : { ...head, bodyBytes: -1 }, body, pod)
  }

  /** The pod in hand failed: `error`, or the error answer that has been collected. Another one, or the end. */
  private tryFailed(fault: PodFault, error: GatewayError | undefined): void {
    const { deps: { metrics, options: { retriesMax }, scheduler }, front } = this.owner
    const { flow, podTry, request: { isRepeatable } } = this
    if (podTry === undefined) return
    const { address } = podTry.decision
    const attempts = this.attempts ??= new Attempts()
    attempts.failed(podTry.decision, fault, scheduler)
    if (fault.blame !== "none") metrics.podFailed(address.id, fault.reason)
    if (flow?.began === true) return this.saveOrLose(flow, address, error ?? podBroke, attempts.wasAsked)
    if (error === undefined) attempts.answer ??= flow?.collected(address)
    else attempts.error = error
    const denial = attempts.denial(fault, { retriesMax, isRepeatable, budget: front.retryBudget })
    if (denial !== undefined) {
      metrics.retryDenied(denial)
      return this.giveUp(attempts, error === undefined ? "finished" : "failed")
    }
    this.endTry("failed", undefined, undefined)
    this.flow = undefined
    this.rescue?.startOver()
    metrics.retried(fault.reason)
    this.dispatch().catch((cause: unknown) => this.defect(cause))
  }

  /** The pod gave up in mid-stream without saying so in HTTP. */
  private brokeOff(why: string, blame: PodFault["blame"]): void {
    if (this.owner.settled) return
    this.abort()
    const error = new PodUnreachable({ message: `the pod broke off: ${why}` })
    this.tryFailed({ reason: "truncated", mayHaveRun: true, blame, why }, error)
  }

  /** Another pod goes on with a stream that lost its own, where that is sound. */
  private saveOrLose(flow: AnswerFlow, lostPod: PodAddress, error: GatewayError, wasAsked: boolean): void {
    const { metrics, pool } = this.owner.deps
    const { rescue } = this
    if (rescue === undefined || !flow.isEventStream) return this.lose(flow, error)
    const closing = rescue.closing()
    if (closing !== undefined) {
      // One that went on elsewhere is counted at its end.
      if (!rescue.continues) metrics.rescued("whole")
      this.owner.settle("finished", flow.status, rescue.usage ?? flow.usage())
      flow.push(closing)
      flow.passOnRest()
      return flow.end()
    }
    if (!wasAsked) rescue.notAsked()
    const denial = rescue.denial(tellsEveryToken(pool, lostPod))
    if (denial !== undefined) {
      metrics.rescueDenied(denial)
      return this.lose(flow, error)
    }
    this.endTry("failed", undefined, undefined)
    if (wasAsked) metrics.rescued("begun")
    this.goOn(flow, rescue, error).catch((cause: unknown) => this.defect(cause))
  }

  private async goOn(flow: AnswerFlow, rescue: StreamRescue, lost: GatewayError): Promise<void> {
    const { features, owner: { deps: { metrics, pool, scheduler } } } = this
    this.isPicking = true
    const decision = await scheduler.pick(features, this.attempts?.failedPods).catch(() => undefined)
    this.isPicking = false
    const podTry = decision && this.begin(decision)
    if (this.owner.settled) return
    const body = podTry && rescue.goOn(maxModelLenOf(pool, podTry.decision.address, features.model))
    if (podTry === undefined || body === undefined) {
      metrics.rescueDenied(podTry === undefined ? "no-pod" : "length")
      return this.lose(flow, lost)
    }
    this.send(podTry, this.request.continuation(body, podTry.firstByteTimeoutMs))
  }

  /** Another pod answers the request to go on. */
  private continues(head: ResponseHead, rescue: StreamRescue): void {
    if (head.status === 200 && isEventStream(head)) {
      // It was the lost pod that had been told to wait for a slow client.
      if (this.flow?.isHeld === true) this.pause()
      return
    }
    rescue.refused = !isFaultStatus(head.status)
    this.brokeOff(`it answered ${head.status} when asked to go on with a stream`, "none")
  }

  /** No further try: a pod's own answer goes to the client untouched, else what went wrong last. */
  private giveUp({ answer, error }: Attempts, outcome: "finished" | "failed"): void {
    if (answer === undefined) return this.owner.refuse(error ?? podBroke)
    if (this.owner.settled) return
    this.answerWith(answer.head, wholeBody(answer.pieces), answer.pod)
    this.owner.settle(outcome, answer.head.status, undefined)
  }

  /** Ends the request with an error, whatever the client has of its answer. */
  fail(error: GatewayError): void {
    this.abort()
    const { flow } = this
    if (flow?.began !== true) return this.owner.refuse(error)
    try {
      this.lose(flow, error)
    } catch {
      flow.break()
    }
  }

  /** The pod was lost, or time ran out, after bytes of its answer were sent: the one place for what comes then. */
  private lose(flow: AnswerFlow, error: GatewayError): void {
    const podsWords = this.rescue?.surrender
    this.owner.settle("failed", flow.status, undefined)
    if (flow.isEventStream && podsWords === undefined) this.owner.deps.metrics.refused(error)
    flow.lose(error, this.owner.route.prompt, podsWords)
  }

  /** Stops the pod in hand, which then tells nothing more. */
  abort(): void {
    this.podTry?.call?.abort()
  }

  /** Of the answer that the client gets, once it is known. */
  get status(): number | undefined {
    return this.flow?.status
  }

  /** Of a stream whose pod reported no usage. */
  get countedTokens(): number | undefined {
    return this.owner.route.generates ? this.flow?.countedTokens : undefined
  }

  /** The request is over, and with it the try in hand. */
  over(outcome: RequestEnd["outcome"], usage: Usage | undefined, outputTokens: number | undefined): void {
    const { features, owner: { deps: { metrics, scheduler }, front, route } } = this
    if (this.isPicking) scheduler.cancel(features)
    const wasAtPod = this.endTry(outcome, usage, outputTokens)
    this.attempts?.over(scheduler)
    if (wasAtPod) metrics.tokens(features.model, usage?.promptTokens, usage?.cachedTokens, outputTokens)
    if (usage?.promptTokens !== undefined && route.generates) {
      front.workshop.bytesPerToken.learn(features.model, features.textBytes, usage.promptTokens)
    }
    if (this.rescue?.continues === true) metrics.rescued(outcome === "finished" ? "whole" : "broken")
  }

  release(): void {
    this.features.release(false)
    this.rescue?.release()
  }

  /** False: no pod is in hand. */
  private endTry(
    outcome: RequestEnd["outcome"],
    usage: Usage | undefined,
    outputTokens: number | undefined
  ): boolean {
    const { podTry } = this
    this.podTry = undefined
    podTry?.end(outcome, usage, outputTokens, this.sample)
    return podTry !== undefined
  }
}
