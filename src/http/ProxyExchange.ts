import type { Decision, RequestEnd } from "../../actors/SchedulerPort.ts"
import { sessionToken } from "../core/sessionToken.ts"
import { type GatewayError, PodUnreachable, TimedOut } from "../errors.ts"
import { AnswerRenamer } from "./AnswerRenamer.ts"
import { AnswerTail, type Usage } from "./AnswerTail.ts"
import { directStream, isEventStream, isLonger, wholeBody } from "./answerBody.ts"
import { ClientStream, type StreamFeeder } from "./ClientStream.ts"
import { errorEvent } from "./errorEvent.ts"
import { bodyTimedOut, podBroke, urlTooLong } from "./exchangeErrors.ts"
import { errorResponse, timeoutPhase, toGatewayError, upstreamGatewayError } from "./errors.ts"
import { type ReadRequest, readRequest } from "./features/readRequest.ts"
import type { PromptFeatures } from "./features/PromptFeatures.ts"
import { requestWish } from "./features/requestWish.ts"
import { decisionEntry, type DecisionSample, sampleDecision } from "./decisionSample.ts"
import type { KeyLease } from "./doors/KeyLease.ts"
import { HeldBytes } from "./doors/RequestBytes.ts"
import type { Front } from "./Front.ts"
import type { FrontDeps } from "./FrontOptions.ts"
import { readBody } from "./readBody.ts"
import { podRequestHeaders } from "./requestHeaders.ts"
import { clientHeaders } from "./responseHeaders.ts"
import { Attempts, type PodAnswer } from "./retry/Attempts.ts"
import { faultOfError, faultOfStatus, isFaultStatus, type PodFault } from "./retry/PodFault.ts"
import { maxModelLenOf, tellsEveryToken } from "./rescue/podFacts.ts"
import { isRescueWanted, StreamRescue } from "./rescue/StreamRescue.ts"
import { withTokenIds } from "./rescue/continuedBody.ts"
import type { ProxyRoute } from "./routes.ts"
import type { UpstreamCall } from "./upstream/UpstreamCall.ts"
import type { ResponseHead, UpstreamError, UpstreamHandler } from "./upstream/UpstreamRequest.ts"

/** What an exchange needs of Bun's server. */
export interface ClientServer {
  readonly requestIP?: (request: Request) => { readonly address: string } | null
  /** Seconds of silence after which the connection of this request is closed; 0: never. */
  readonly timeout?: (request: Request, seconds: number) => void
}

/** Status for the books when the client left before it had one. */
const clientGoneStatus = 499

/**
 * One proxied request from its arrival to its end: read, pick, send, hand back what comes.
 * It is itself the upstream's handler, the feeder of the answer's stream and the abort listener, so that a request makes
 * no closures. `settle` is the one way out: it ends the reservation and the books exactly once.
 */
export class ProxyExchange implements UpstreamHandler, StreamFeeder, EventListenerObject {
  private readonly front: Front
  /** As they were when the request came: a reload in its middle changes nothing for it. */
  private readonly deps: FrontDeps
  private readonly route: ProxyRoute
  private readonly request: Request
  private readonly server: ClientServer
  private readonly startedMs = performance.now()
  /** Undefined when the gateway asks for no keys. */
  private readonly lease: KeyLease | undefined
  private readonly held: HeldBytes
  private readonly answer = Promise.withResolvers<Response>()
  private tail = new AnswerTail()

  private requestId: string | undefined
  private headerLines = ""
  private body: Uint8Array | undefined
  private features: PromptFeatures | undefined
  /** Made when the first try has failed. */
  private attempts: Attempts | undefined
  private totalTimer: Timer | undefined
  private decision: Decision | undefined
  /** What the decision log keeps; decided at the first pick, false when the request is not in the sample. */
  private sample: DecisionSample | false | undefined
  private call: UpstreamCall | undefined
  private settled = false

  /** Of the pod's answer, from its coming to ours. */
  private head: ResponseHead | undefined
  /** The pod's, once it answered. */
  private status = clientGoneStatus
  /** The answer is collected and handed over as one. */
  private whole = false
  /** It says that the pod is broken, so another pod may do better. */
  private isPodFault = false
  private isEventStream = false
  private firstTokenSeen = false
  private pickedMs = 0
  /** From the pick to the first token; only a stream shows it. */
  private observedTtftMs: number | undefined
  /** Where the answer goes once bytes of it are on their way to the client. */
  private stream: ClientStream | undefined
  /** Body pieces of an answer that is handed over as one. */
  private waiting: Array<Uint8Array> | undefined
  private renamed: ReadRequest["renamed"]
  private renamer: AnswerRenamer | undefined
  /** For streams that another pod could go on with. */
  private rescue: StreamRescue | undefined

  constructor(
    front: Front,
    route: ProxyRoute,
    request: Request,
    server: ClientServer,
    lease: KeyLease | undefined
  ) {
    this.front = front
    this.deps = front.deps
    this.lease = lease
    this.held = new HeldBytes(front.requestBytes)
    this.route = route
    this.request = request
    this.server = server
  }

  /** Never rejects. */
  run(): Promise<Response> {
    this.prepare().catch((cause: unknown) => this.refuse(toGatewayError(cause, this.deps.log)))
    return this.answer.promise
  }

  private async prepare(): Promise<void> {
    const { options } = this.deps
    const { request } = this
    request.signal.addEventListener("abort", this)
    this.server.timeout?.(request, 0)
    this.totalTimer = setTimeout(() => this.outOfTime(), options.requestTimeoutMs)
    this.front.retryBudget.earn(this.startedMs / 1000)
    if (request.url.length > options.urlCharsMax) throw urlTooLong(options.urlCharsMax)
    const clientAddress = this.server.requestIP?.(request)?.address
    const { lines, requestId } = podRequestHeaders(request.headers, clientAddress, options)
    this.requestId = requestId
    this.headerLines = lines
    const tooSlow = setTimeout(() => this.refuse(bodyTimedOut()), options.bodyReadTimeoutMs)
    const bytes = await readBody(request, options.bodyBytesMax, this.held).finally(() => clearTimeout(tooSlow))
    if (this.settled) return
    const read = readRequest(this.route, request.headers, bytes, options, this.front.workshop)
    this.features = read.features
    this.renamed = read.renamed
    read.features.wish = requestWish(request.headers, bytes.length, this.lease?.keyName, options.wishes)
    this.lease?.charge(read.asked, read.features.promptTokens)
    this.body = read.body
    if (read.terms !== undefined && isRescueWanted(request.headers)) {
      this.rescue = new StreamRescue(read.terms, this.front.rescueBytes, options.rescue)
      if (!read.terms.showsTokenIds) this.body = withTokenIds(read.body)
    }
    await this.dispatch(read.features)
  }

  private async dispatch(features: PromptFeatures): Promise<void> {
    const { decisionLog, scheduler, metrics } = this.deps
    const askedMs = performance.now()
    let decision: Decision
    try {
      decision = await scheduler.pick(features, this.attempts?.failedPods)
    } catch (cause) {
      if (this.settled) return
      const error = toGatewayError(cause, this.deps.log)
      if (this.attempts === undefined) return this.refuse(error)
      // What went wrong at the pods that were tried says more.
      metrics.retryDenied("no-pod")
      return this.giveUp(this.attempts, "failed")
    }
    this.pickedMs = performance.now()
    this.observedTtftMs = undefined
    metrics.picked(this.route.path, (this.pickedMs - askedMs) / 1000)
    if (this.settled) return scheduler.end(decision.reservation, aborted)
    this.decision = decision
    if (decisionLog !== undefined) this.sample ??= sampleDecision(decisionLog, features) ?? false
    this.call = this.send(decision, this.route.path + queryOf(this.request.url), this.body)
  }

  private send({ address, probes }: Decision, target: string, body: Uint8Array | undefined): UpstreamCall {
    const firstByteTimeoutMs = probes === true ? this.deps.options.probeTimeoutMs : undefined
    const { headerLines } = this
    return this.front.client.request(address, { method: "POST", target, headerLines, body, firstByteTimeoutMs }, this)
  }

  onHead(head: ResponseHead): void {
    if (this.rescue?.continues === true) return this.continues(head, this.rescue)
    this.head = head
    this.status = head.status
    const { options } = this.deps
    this.isPodFault = isFaultStatus(head.status) && head.bodyBytes <= options.errorAnswerBytesMax
    this.whole = this.isPodFault || (head.bodyBytes >= 0 && head.bodyBytes <= options.wholeAnswerBytesMax)
    this.isEventStream = !this.whole && isEventStream(head)
  }

  onData(bytes: Uint8Array): void {
    const { rescue } = this
    if (rescue === undefined || !this.isEventStream) return this.take(bytes)
    const ours = rescue.push(bytes)
    if (ours.length > 0) this.take(ours)
    if (rescue.surrendered) this.brokeOff("it ended a stream with an error", "unsure")
  }

  private take(bytes: Uint8Array): void {
    this.tail.add(bytes)
    if (!this.firstTokenSeen) this.lookForFirstToken(bytes)
    if (this.renamed === undefined) return this.passOn(bytes)
    this.renamer ??= new AnswerRenamer(this.renamed.from, this.renamed.to)
    this.passOn(this.renamer.push(bytes))
  }

  private passOn(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    if (this.stream !== undefined) return this.stream.write(bytes)
    const waiting = this.waiting ??= []
    waiting.push(bytes)
    if (this.isPodFault && isLonger(waiting, this.deps.options.errorAnswerBytesMax)) {
      this.whole = false
      this.isPodFault = false
    }
    // Bun sends no complete head before the first piece, so until here a pod that breaks off can be replaced.
    if (this.whole) return
    this.waiting = undefined
    this.stream = new ClientStream(this, waiting)
    this.respond(directStream(this.stream))
  }

  /** The bytes that were held back for a name that did not come. */
  private passOnRest(): void {
    const rest = this.renamer?.end()
    if (rest !== undefined) this.passOn(rest)
  }

  onEnd(): void {
    if (this.stream !== undefined && this.rescue?.isCut === true) return this.brokeOff("it ended a stream early", "pod")
    const held = this.rescue?.rest()
    if (held !== undefined) this.take(held)
    this.passOnRest()
    if (this.isPodFault && isFaultStatus(this.status)) return this.tryFailed(faultOfStatus(this.status), undefined)
    this.settle("finished", this.status, this.rescue?.usage ?? this.tail.usage())
    if (this.stream === undefined) this.respond(wholeBody(this.waiting))
    else this.stream.end()
  }

  onError(error: UpstreamError): void {
    const phase = timeoutPhase(error)
    if (phase !== undefined) this.deps.metrics.timedOut(phase)
    this.tryFailed(faultOfError(error), upstreamGatewayError(error))
  }

  handleEvent(): void {
    this.clientGone()
  }

  pause(): void {
    this.call?.pause()
  }

  resume(): void {
    this.call?.resume()
  }

  clientGone(): void {
    if (this.settled) return
    this.call?.abort()
    if (this.decision === undefined && this.features !== undefined) this.deps.scheduler.cancel(this.features)
    this.settle("aborted", this.status, undefined)
    this.answer.resolve(new Response(null, { status: clientGoneStatus }))
  }

  /** The pod in hand failed: `error`, or the error answer that has been collected. Another one, or the end. */
  private tryFailed(fault: PodFault, error: GatewayError | undefined): void {
    const { metrics, options, scheduler } = this.deps
    const { decision, features } = this
    if (decision === undefined || features === undefined) return
    const attempts = this.attempts ??= new Attempts()
    attempts.failed(decision, fault, scheduler)
    if (this.stream !== undefined) return this.saveOrLose(this.stream, decision, features, error ?? podBroke)
    if (error === undefined) attempts.answer ??= this.collected(decision)
    else attempts.error = error
    const { retriesMax } = options
    const repeatable = this.route.repeatable ?? true
    const nowS = performance.now() / 1000
    const denial = attempts.denial(fault, { retriesMax, repeatable, budget: this.front.retryBudget, nowS })
    if (denial !== undefined) {
      metrics.retryDenied(denial)
      return this.giveUp(attempts, error === undefined ? "finished" : "failed")
    }
    scheduler.end(decision.reservation, failed)
    this.logDecision(decision, "failed", undefined, undefined)
    this.startOver()
    metrics.retried(fault.reason)
    this.dispatch(features).catch((cause: unknown) => this.refuse(toGatewayError(cause, this.deps.log)))
  }

  private collected({ address: { id } }: Decision): PodAnswer | undefined {
    return this.head === undefined ? undefined : { head: this.head, pieces: this.waiting, pod: id }
  }

  /** Forgets the try that failed. */
  private startOver(): void {
    this.decision = undefined
    this.call = undefined
    this.head = undefined
    this.status = clientGoneStatus
    this.whole = false
    this.isPodFault = false
    this.isEventStream = false
    this.firstTokenSeen = false
    this.waiting = undefined
    this.renamer = undefined
    this.tail = new AnswerTail()
    this.rescue?.startOver()
  }

  /** The pod gave up in mid-stream without saying so in HTTP. */
  private brokeOff(why: string, blame: PodFault["blame"]): void {
    if (this.settled) return
    this.call?.abort()
    const error = new PodUnreachable({ message: `the pod broke off: ${why}` })
    this.tryFailed({ reason: "truncated", mayHaveRun: true, blame, why }, error)
  }

  /** Another pod goes on with a stream that lost its own, where that is sound. */
  private saveOrLose(stream: ClientStream, decision: Decision, features: PromptFeatures, error: GatewayError): void {
    const { rescue, deps: { metrics, pool, scheduler } } = this
    if (rescue === undefined || !this.isEventStream) return this.lostMidAnswer(stream, error)
    const closing = rescue.closing()
    if (closing !== undefined) {
      metrics.rescued("whole")
      this.settle("finished", this.status, rescue.usage)
      this.passOn(closing)
      return stream.end()
    }
    const denial = rescue.denial(tellsEveryToken(pool, decision.address))
    if (denial !== undefined) {
      metrics.rescueDenied(denial)
      return this.lostMidAnswer(stream, error)
    }
    scheduler.end(decision.reservation, failed)
    this.logDecision(decision, "failed", undefined, undefined)
    this.decision = undefined
    this.call = undefined
    metrics.rescued("begun")
    this.goOn(stream, features, rescue, error).catch((cause: unknown) => {
      this.lostMidAnswer(stream, toGatewayError(cause, this.deps.log))
    })
  }

  private async goOn(stream: ClientStream, features: PromptFeatures, rescue: StreamRescue, lost: GatewayError) {
    const { metrics, pool, scheduler } = this.deps
    const decision = await scheduler.pick(features, this.attempts?.failedPods).catch(() => undefined)
    if (this.settled) return decision === undefined ? undefined : scheduler.end(decision.reservation, aborted)
    this.decision = decision
    this.pickedMs = performance.now()
    const body = decision && rescue.goOn(maxModelLenOf(pool, decision.address, features.model))
    if (decision === undefined || body === undefined) {
      metrics.rescueDenied(decision === undefined ? "no-pod" : "length")
      return this.lostMidAnswer(stream, lost)
    }
    this.firstTokenSeen = false
    this.call = this.send(decision, "/v1/completions", body)
  }

  /** Another pod answers the request to go on. */
  private continues(head: ResponseHead, rescue: StreamRescue): void {
    if (head.status === 200 && isEventStream(head)) return
    rescue.refused = !isFaultStatus(head.status)
    this.brokeOff(`it answered ${head.status} when asked to go on with a stream`, "none")
  }

  /** No further try: a pod's own answer goes to the client untouched, else what went wrong last. */
  private giveUp({ answer, error }: Attempts, outcome: "finished" | "failed"): void {
    if (answer === undefined) return this.refuse(error ?? podBroke)
    if (this.settled) return
    this.settle(outcome, answer.head.status, undefined)
    this.head = answer.head
    this.respond(wholeBody(answer.pieces), answer.pod)
  }

  /**
   * The pod was lost, or time ran out, after bytes of its answer were sent: the one place for what comes then.
   * An event stream ends in good order with an error event; of any other answer the client's connection breaks.
   */
  private lostMidAnswer(stream: ClientStream, error: GatewayError): void {
    this.settle("failed", this.status, undefined)
    if (!this.isEventStream) return stream.break()
    this.passOnRest()
    stream.write(this.rescue?.surrender ?? errorEvent(error, this.route.prompt, this.tail.endsEvent))
    stream.end()
  }

  private outOfTime(): void {
    if (this.settled) return
    const { metrics, options } = this.deps
    metrics.timedOut("total")
    const error = new TimedOut("total", `the request took longer than ${options.requestTimeoutMs} ms`)
    if (this.stream === undefined) return this.refuse(error)
    this.call?.abort()
    this.lostMidAnswer(this.stream, error)
  }

  /** Answers with an error of our own. */
  private refuse(error: GatewayError): void {
    if (this.settled) return
    this.call?.abort()
    this.settle("failed", error.status, undefined)
    this.answer.resolve(errorResponse(error, this.requestId, this.route.prompt === "messages"))
  }

  private respond(body: BodyInit | null, answeredBy = this.decision?.address.id): void {
    const { head } = this
    if (head === undefined) return
    this.head = undefined
    // Thousands of streams may be open for minutes, so what only another try would need goes now.
    this.body = undefined
    this.held.release()
    if (this.rescue === undefined) this.headerLines = ""
    this.features?.release()
    const pod = this.deps.options.exposePodHeader ? answeredBy : undefined
    // Another name makes for another length, which Bun then finds out by itself.
    const sent = this.renamed === undefined ? head : { ...head, bodyBytes: -1 }
    const headers = clientHeaders(sent, this.requestId ?? "", pod, this.sessionOf(answeredBy))
    this.answer.resolve(new Response(body, { status: head.status, statusText: head.reason, headers }))
  }

  /** What tells the client the pod to come back to. */
  private sessionOf(pod: string | undefined): readonly [string, string] | undefined {
    const { decision, deps: { options: { sessionHeader } } } = this
    if (sessionHeader === undefined || decision === undefined || decision.address.id !== pod) return undefined
    return [sessionHeader, sessionToken(decision.address)]
  }

  private lookForFirstToken(bytes: Uint8Array): void {
    if (this.status < 200 || this.status > 299) {
      this.firstTokenSeen = true
      return
    }
    const mark = this.isEventStream ? this.route.firstTokenMark : undefined
    if (mark !== undefined && !Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(mark)) return
    this.firstTokenSeen = true
    const { scheduler, metrics } = this.deps
    this.attempts?.served(scheduler)
    if (this.rescue?.continues === true && this.decision) return scheduler.firstToken(this.decision.reservation)
    const nowMs = performance.now()
    metrics.firstByte(this.route.path, (nowMs - this.startedMs) / 1000)
    const { decision } = this
    if (decision === undefined) return
    scheduler.firstToken(decision.reservation)
    if (!this.isEventStream || !this.route.generates) return
    this.observedTtftMs = nowMs - this.pickedMs
    metrics.ttft(decision.address.id, decision.predictedTtftS, this.observedTtftMs / 1000)
  }

  private settle(outcome: RequestEnd["outcome"], status: number, usage: Usage | undefined): void {
    if (this.settled) return
    this.settled = true
    clearTimeout(this.totalTimer)
    const { scheduler, metrics, options } = this.deps
    this.attempts?.over(scheduler)
    const { decision, features } = this
    const outputTokens = usage?.outputTokens ?? this.countedOutputTokens()
    if (decision !== undefined) {
      const end = usage === undefined && outputTokens === undefined
        ? bareEnds[outcome]
        : { outcome, ...usage, outputTokens }
      scheduler.end(decision.reservation, end)
      this.logDecision(decision, outcome, usage, outputTokens)
      metrics.tokens(features?.model ?? "", usage?.promptTokens, usage?.cachedTokens, outputTokens)
    }
    if (usage?.promptTokens !== undefined && features !== undefined && this.route.generates) {
      this.front.workshop.bytesPerToken.learn(features.model, features.textBytes, usage.promptTokens)
    }
    this.lease?.end(outcome, status, usage, outputTokens)
    features?.release()
    this.held.release()
    if (this.rescue?.continues === true) metrics.rescued(outcome === "finished" ? "whole" : "broken")
    this.rescue?.release()
    this.server.timeout?.(this.request, options.clientIdleTimeoutS)
    metrics.requestEnded(this.route.path, status, outcome, (performance.now() - this.startedMs) / 1000)
    this.front.left()
  }

  private logDecision(
    decision: Decision,
    outcome: RequestEnd["outcome"],
    usage: Usage | undefined,
    outputTokens: number | undefined
  ): void {
    const { observedTtftMs, pickedMs, sample, startedMs } = this
    if (sample === undefined || sample === false) return
    const requestId = this.requestId ?? ""
    const model = this.features?.model ?? ""
    const result = { requestId, model, startedMs, pickedMs, observedTtftMs, outcome, usage, outputTokens }
    this.deps.decisionLog?.write(decisionEntry(sample, decision, result))
  }

  /** vLLM sends an event a token; the first and the last carry none. */
  private countedOutputTokens(): number | undefined {
    return this.isEventStream && this.route.generates ? Math.max(0, this.tail.pieces - 2) : undefined
  }
}

const aborted: RequestEnd = { outcome: "aborted" }
const failed: RequestEnd = { outcome: "failed" }
const bareEnds = { aborted, failed, finished: { outcome: "finished" } } as const

/** Query of a URL with its question mark; empty when there is none. */
const queryOf = (url: string): string => {
  const at = url.indexOf("?")
  return at < 0 ? "" : url.slice(at)
}
