import type { Decision, RequestEnd } from "../../actors/SchedulerPort.ts"
import { BodyTimedOut, type GatewayError, NoPodAvailable } from "../errors.ts"
import { AnswerTail, type Usage } from "./AnswerTail.ts"
import { breakOff, directStream, isEventStream, wholeBody } from "./answerBody.ts"
import { errorResponse, toGatewayError, upstreamGatewayError } from "./errors.ts"
import { readRequest } from "./features/readRequest.ts"
import type { PromptFeatures } from "./features/PromptFeatures.ts"
import { decisionEntry, type DecisionSample, sampleDecision } from "./decisionSample.ts"
import type { Front } from "./Front.ts"
import type { FrontDeps } from "./FrontOptions.ts"
import type { RetryReason } from "./FrontMetrics.ts"
import { readBody } from "./readBody.ts"
import { podRequestHeaders } from "./requestHeaders.ts"
import { clientHeaders } from "./responseHeaders.ts"
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
 * It is itself the upstream's handler, the answer's stream source and the abort listener, so that a request makes no
 * closures. `settle` is the one way out: it ends the reservation and the books exactly once.
 */
export class ProxyExchange implements UpstreamHandler, Bun.DirectUnderlyingSource, EventListenerObject {
  readonly type = "direct"

  private readonly front: Front
  /** As they were when the request came: a reload in its middle changes nothing for it. */
  private readonly deps: FrontDeps
  private readonly route: ProxyRoute
  private readonly request: Request
  private readonly server: ClientServer
  private readonly startedMs = performance.now()
  private readonly answer = Promise.withResolvers<Response>()
  private readonly tail = new AnswerTail()

  private requestId: string | undefined
  private headerLines = ""
  private body: Uint8Array | undefined
  private features: PromptFeatures | undefined
  private excluded: Array<string> | undefined
  private failure: GatewayError | undefined
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
  private responded = false
  private isEventStream = false
  private firstTokenSeen = false
  private pickedMs = 0
  /** From the pick to the first token; only a stream shows it. */
  private observedTtftMs: number | undefined
  private controller: ReadableStreamDirectController | undefined
  private sending: PromiseWithResolvers<void> | undefined
  /** Body pieces that came before the controller did, or all of them when `whole`. */
  private waiting: Array<Uint8Array> | undefined
  private ended: "no" | "well" | "broken" = "no"

  constructor(front: Front, route: ProxyRoute, request: Request, server: ClientServer) {
    this.front = front
    this.deps = front.deps
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
    const { lines, requestId } = podRequestHeaders(request.headers, this.server.requestIP?.(request)?.address)
    this.requestId = requestId
    this.headerLines = lines
    const tooSlow = setTimeout(() => this.refuse(bodyTimedOut()), options.bodyReadTimeoutMs)
    const bytes = await readBody(request, options.bodyBytesMax).finally(() => clearTimeout(tooSlow))
    if (this.settled) return
    const read = readRequest(this.route, request.headers, bytes, options, this.front.workshop)
    this.features = read.features
    this.body = read.body
    await this.dispatch(read.features)
  }

  private async dispatch(features: PromptFeatures): Promise<void> {
    const { decisionLog, scheduler, metrics } = this.deps
    const askedMs = performance.now()
    let decision: Decision
    try {
      decision = await scheduler.pick(features, this.excluded)
    } catch (cause) {
      const error = toGatewayError(cause, this.deps.log)
      // When no pod is left to try, what went wrong with the last one says more.
      return this.refuse(error instanceof NoPodAvailable && this.failure !== undefined ? this.failure : error)
    }
    this.pickedMs = performance.now()
    this.observedTtftMs = undefined
    metrics.picked(this.route.path, (this.pickedMs - askedMs) / 1000)
    if (this.settled) return scheduler.end(decision.reservation, aborted)
    this.decision = decision
    if (decisionLog !== undefined) this.sample ??= sampleDecision(decisionLog, features) ?? false
    this.call = this.front.client.request(
      decision.address,
      {
        method: "POST",
        target: this.route.path + queryOf(this.request.url),
        headerLines: this.headerLines,
        body: this.body
      },
      this
    )
  }

  onHead(head: ResponseHead): void {
    this.head = head
    this.status = head.status
    // Thousands of streams may be open for minutes, so what only another try would need goes now.
    this.body = undefined
    this.headerLines = ""
    this.features?.release()
    const { options } = this.deps
    this.whole = head.bodyBytes >= 0 && head.bodyBytes <= options.wholeAnswerBytesMax
    this.isEventStream = !this.whole && isEventStream(head)
  }

  onData(bytes: Uint8Array): void {
    this.tail.add(bytes)
    if (!this.firstTokenSeen) this.lookForFirstToken(bytes)
    const controller = this.controller
    if (controller === undefined) {
      if (this.waiting !== undefined) return void this.waiting.push(bytes)
      this.waiting = [bytes]
      // Bun sends no complete head before the first piece, so a pod that breaks off until here can still become a 502.
      if (!this.whole) this.respond(directStream(this))
      return
    }
    const wrote = controller.write(bytes)
    if (typeof wrote !== "number") this.holdUntil(wrote)
  }

  onEnd(): void {
    this.ended = "well"
    this.settle("finished", this.status, this.tail.usage())
    if (this.whole || !this.responded) this.respond(wholeBody(this.waiting))
    else this.finishSending()
  }

  onError(error: UpstreamError): void {
    const { scheduler } = this.deps
    const decision = this.decision
    if (decision !== undefined && error.kind !== "exhausted") scheduler.podFailed(decision.address.id, error.message)
    if (!error.answered && isRetriable(error.kind)) return this.tryAnother(error, error.kind)
    this.ended = "broken"
    if (!this.responded) return this.refuse(upstreamGatewayError(error))
    this.settle("failed", this.status, undefined)
    this.sending?.reject(breakOff)
  }

  /** Bun asks for the body: the answer's head is on its way to the client. */
  pull(controller: ReadableStreamDirectController): Promise<void> {
    if (this.ended === "broken") return Promise.reject(breakOff)
    this.controller = controller
    this.sending = Promise.withResolvers()
    const waiting = this.waiting
    this.waiting = undefined
    if (waiting !== undefined) {
      for (const bytes of waiting) {
        const wrote = controller.write(bytes)
        if (typeof wrote !== "number") this.holdUntil(wrote)
      }
    }
    if (this.ended === "well") this.finishSending()
    return this.sending.promise
  }

  cancel(): void {
    this.clientGone()
  }

  handleEvent(): void {
    this.clientGone()
  }

  private clientGone(): void {
    if (this.settled) return
    this.call?.abort()
    this.settle("aborted", this.status, undefined)
    this.answer.resolve(new Response(null, { status: clientGoneStatus }))
  }

  private tryAnother(error: UpstreamError, reason: RetryReason): void {
    const { scheduler, options, metrics } = this.deps
    const { decision, features } = this
    if (decision === undefined || features === undefined) return
    scheduler.end(decision.reservation, failed)
    this.logDecision(decision, "failed", undefined, undefined)
    this.decision = undefined
    this.call = undefined
    this.failure = upstreamGatewayError(error)
    this.excluded = [...(this.excluded ?? []), decision.address.id]
    if (this.excluded.length > options.retriesMax) return this.refuse(this.failure)
    metrics.retried(reason)
    this.dispatch(features).catch((cause: unknown) => this.refuse(toGatewayError(cause, this.deps.log)))
  }

  /** Answers with an error of our own. */
  private refuse(error: GatewayError): void {
    if (this.settled) return
    this.call?.abort()
    this.settle("failed", error.status, undefined)
    this.answer.resolve(errorResponse(error, this.requestId, this.route.prompt === "messages"))
  }

  private respond(body: BodyInit | null): void {
    const { head } = this
    if (head === undefined) return
    this.responded = true
    this.head = undefined
    const pod = this.deps.options.exposePodHeader ? this.decision?.address.id : undefined
    const headers = clientHeaders(head, this.requestId ?? "", pod)
    this.answer.resolve(new Response(body, { status: head.status, statusText: head.reason, headers }))
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
    const nowMs = performance.now()
    metrics.firstByte(this.route.path, (nowMs - this.startedMs) / 1000)
    const { decision } = this
    if (decision === undefined) return
    scheduler.firstToken(decision.reservation)
    if (!this.isEventStream || !this.route.generates) return
    this.observedTtftMs = nowMs - this.pickedMs
    metrics.ttft(decision.address.id, decision.predictedTtftS, this.observedTtftMs / 1000)
  }

  private finishSending(): void {
    this.controller?.close()
    this.sending?.resolve()
  }

  /** The client reads slower than the pod writes. */
  private holdUntil(drained: Promise<number>): void {
    this.call?.pause()
    const resume = () => this.call?.resume()
    drained.then(resume, resume)
  }

  private settle(outcome: RequestEnd["outcome"], status: number, usage: Usage | undefined): void {
    if (this.settled) return
    this.settled = true
    const { scheduler, metrics, options } = this.deps
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
    features?.release()
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

const bodyTimedOut = () => new BodyTimedOut({ message: "the request's body did not come in time" })

const isRetriable = (kind: UpstreamError["kind"]): kind is RetryReason =>
  kind === "refused" || kind === "connect-timeout" || kind === "broken" || kind === "exhausted"

/** Query of a URL with its question mark; empty when there is none. */
const queryOf = (url: string): string => {
  const at = url.indexOf("?")
  return at < 0 ? "" : url.slice(at)
}
