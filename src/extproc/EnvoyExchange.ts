import { BodyTimedOut, type GatewayError, GatewayStopping, InternalError, Overloaded, TimedOut } from "../errors.ts"
import { toGatewayError } from "../http/errors.ts"
import { sampleDecision } from "../http/decisionSample.ts"
import { PromptFeatures, type RequestFacts } from "../http/features/PromptFeatures.ts"
import { type ReadRequest, readRequest, sessionHash } from "../http/features/readRequest.ts"
import { requestWish } from "../http/features/requestWish.ts"
import { isForPods, newRequestId } from "../http/requestHeaders.ts"
import type { ProxyRoute } from "../http/routes.ts"
import { CollectedBody } from "./CollectedBody.ts"
import { destinationHeader, destinationMetadata, destinationNamespace, destinationOf, subsetOf } from "./destination.ts"
import type { CallHandler, GrpcCall } from "./grpc/GrpcCall.ts"
import { GrpcError, grpcStatus } from "./grpc/grpcStatus.ts"
import { clientGoneStatus, PickedAnswer } from "./PickedAnswer.ts"
import type { Picker } from "./Picker.ts"
import { otherRoute, routeOfPath } from "./pickerRoutes.ts"
import { refusalResponse } from "./refusal.ts"
import { BodySendMode } from "./wire/envoyFields.ts"
import { HeaderList } from "./wire/HeaderList.ts"
import { type BodyModes, type ProcessingRequest, readProcessingRequest } from "./wire/processingRequest.ts"
import { goOn, type HeaderPair, routedBuffered, routedStreamed } from "./wire/processingResponse.ts"
import { MalformedMessage } from "./wire/ProtoReader.ts"

/** What an Envoy does that does not say: the Gateway API's extension and llm-d know no other mode. */
const assumedModes: BodyModes = {
  request: BodySendMode.FULL_DUPLEX_STREAMED,
  response: BodySendMode.FULL_DUPLEX_STREAMED
}

/**
 * headers: before the request's headers. body: while its body comes. picking: until the pod is known.
 * routed: Envoy knows where to. refused: Envoy knows what to answer.
 */
type Phase = "headers" | "body" | "picking" | "routed" | "refused"

/**
 * One HTTP request as Envoy tells of it on a gRPC stream: its headers and body come, a pod is picked and named, then
 * the answer's parts pass by.
 */
export class EnvoyExchange implements CallHandler {
  private readonly picker: Picker
  private readonly call: GrpcCall
  private readonly isOneTooMany: boolean
  private readonly startedMs = performance.now()
  private phase: Phase = "headers"
  private modes: BodyModes = assumedModes
  private headers = new HeaderList()
  private route: ProxyRoute = otherRoute
  private only: ReadonlyArray<string> | undefined
  private readonly body: CollectedBody
  private bodyTimer: ReturnType<typeof setTimeout> | undefined
  /** The request has trailers; only when they came is its streamed body whole. */
  private hasTrailers = false
  private renamed: ReadRequest["renamed"]
  /** What the scheduler is looking for a pod for. */
  private asked: PromptFeatures | undefined
  private answer: PickedAnswer | undefined
  private gone = false

  constructor(picker: Picker, call: GrpcCall) {
    this.picker = picker
    this.call = call
    this.isOneTooMany = picker.openRequests >= picker.deps.options.openStreamsMax
    this.body = new CollectedBody(picker.deps.front.requestBytes)
    picker.entered(this)
  }

  readonly onMessage = (bytes: Buffer): void => {
    // Envoy may still send what was on its way when it was refused.
    if (this.phase === "refused") return
    const request = read(bytes)
    if (request.observed) {
      throw new GrpcError(grpcStatus.failedPrecondition, "a picker can't work in observability mode")
    }
    if (request.modes !== undefined) this.modes = request.modes
    const { part } = request
    switch (part.kind) {
      case "request_headers":
        return this.onRequestHeaders(part.headers, part.ends, request)
      case "request_body":
        return this.onRequestBody(part.body, part.ends)
      case "request_trailers":
        return this.onRequestTrailers()
      default:
        if (this.answer === undefined) {
          throw new GrpcError(grpcStatus.invalidArgument, "an answer came before its request")
        }
        return this.call.send(this.answer.onPart(request))
    }
  }

  readonly onHalfClose = (): void => {
    if (this.phase === "routed" || this.phase === "refused") this.call.finish(grpcStatus.ok)
    else this.call.finish(grpcStatus.cancelled, "Envoy closed the stream before a pod was picked")
  }

  readonly onGone = (): void => {
    if (this.gone) return
    this.gone = true
    clearTimeout(this.bodyTimer)
    this.body.release()
    this.picker.left(this)
    if (this.asked !== undefined) this.picker.deps.scheduler.cancel(this.asked)
    if (this.answer !== undefined) this.answer.streamGone()
    else if (this.phase === "body" || this.phase === "picking") this.book(clientGoneStatus, "aborted")
  }

  /** The picker ends before the request does. After a good end of the call Envoy goes on by itself to a named pod. */
  endForStop(): void {
    if (this.phase === "routed") return this.call.finish(grpcStatus.ok)
    if (this.phase === "headers") return this.call.finish(grpcStatus.cancelled, "the picker is stopping")
    this.refuse(new GatewayStopping())
  }

  private onRequestHeaders(headers: HeaderList, ends: boolean, request: ProcessingRequest): void {
    if (this.phase !== "headers") throw new GrpcError(grpcStatus.invalidArgument, "request headers came twice")
    const { deps } = this.picker
    this.phase = "body"
    this.headers = headers
    this.route = routeOfPath(headers.get(":path") ?? "")
    this.only = subsetOf(request)
    deps.metrics.requestStarted(this.route.path)
    if (this.isOneTooMany) {
      const message = `the gateway already has ${deps.options.openStreamsMax} requests in hand (extproc.openStreamsMax)`
      return this.refuse(new Overloaded("too_many_open_requests", message, deps.scheduler.retryAfterS()))
    }
    if (ends || this.modes.request === BodySendMode.NONE) return this.pickUnread(undefined)
    if (this.modes.request === BodySendMode.BUFFERED) this.call.send(goOn.request_headers)
    else if (this.modes.request !== BodySendMode.FULL_DUPLEX_STREAMED) return this.refuse(unusableMode())
    this.bodyTimer = setTimeout(() => this.bodyTooSlow(), deps.front.deps.options.bodyReadTimeoutMs)
  }

  private onRequestBody(body: Buffer, ends: boolean): void {
    if (this.phase !== "body") {
      throw new GrpcError(grpcStatus.invalidArgument, `a body can't come in phase ${this.phase}`)
    }
    const { front, log } = this.picker.deps
    try {
      this.body.add(body, front.deps.options.bodyBytesMax)
    } catch (cause) {
      return this.refuse(toGatewayError(cause, log))
    }
    // A buffered body comes as one, with its end unmarked when trailers follow.
    if (ends || this.modes.request === BodySendMode.BUFFERED) this.onBodyEnd()
  }

  private onRequestTrailers(): void {
    if (this.phase === "routed") return this.call.send(goOn.request_trailers)
    this.hasTrailers = true
    if (this.phase === "body") this.onBodyEnd()
  }

  private onBodyEnd(): void {
    clearTimeout(this.bodyTimer)
    const body = this.body.whole()
    const { front, log } = this.picker.deps
    if (this.route === otherRoute) return this.pickUnread(body)
    try {
      const read = readRequest(this.route, this.headers, body, front.deps.options, front.workshop)
      this.renamed = read.renamed
      this.pick(read.features, read.body, read.body !== body)
    } catch (cause) {
      this.refuse(toGatewayError(cause, log))
    }
  }

  /** Of this request's body nothing is read; any pod will do. */
  private pickUnread(body: Uint8Array | undefined): void {
    const { front, log } = this.picker.deps
    try {
      const { headers } = this
      const { sessionTokens } = front.deps.options
      const session = sessionHash(headers, {}, front.deps.options)
      const facts = { ...nothingKnown, sessionHash: session, headers, sessionTokens }
      this.pick(new PromptFeatures(facts, front.workshop), body)
    } catch (cause) {
      this.refuse(toGatewayError(cause, log))
    }
  }

  private pick(features: PromptFeatures, body: Uint8Array | undefined, rewritten = false): void {
    const { deps } = this.picker
    features.wish = requestWish(this.headers, body?.length ?? 0, undefined, deps.front.deps.options.wishes)
    this.phase = "picking"
    this.asked = features
    features.only = this.only
    features.fallbacksMax = deps.options.fallbacks > 0 ? deps.options.fallbacks : undefined
    // The first token of a body that stays with Envoy is not seen.
    if (this.modes.response === BodySendMode.NONE) features.streams = false
    const askedMs = performance.now()
    deps.scheduler.pick(features).then(
      (decision) => {
        this.asked = undefined
        const pickedMs = performance.now()
        const sample = deps.decisionLog === undefined ? undefined : sampleDecision(deps.decisionLog, features)
        features.release(false)
        deps.metrics.picked(this.route.path, (pickedMs - askedMs) / 1000)
        if (this.gone || this.phase !== "picking") {
          return deps.scheduler.end(decision.reservation, { outcome: "aborted" })
        }
        const { modes, renamed, route, startedMs } = this
        const requestId = this.headers.get("x-request-id") ?? newRequestId()
        const picked = { route, features, decision, modes, requestId, renamed, sample, startedMs, pickedMs }
        this.answer = new PickedAnswer(this.picker, picked)
        this.phase = "routed"
        this.sendOn(destinationOf(decision), destinationMetadata(decision), body, rewritten)
        this.headers = noHeaders
        this.body.release()
      },
      (cause: unknown) => {
        this.asked = undefined
        features.release(false)
        const error = toGatewayError(cause, deps.log)
        if (error instanceof TimedOut && !this.gone) deps.metrics.timedOut(error.phase)
        this.refuse(error)
      }
    )
  }

  private sendOn(
    destination: string,
    metadata: Readonly<Record<string, string>>,
    body: Uint8Array | undefined,
    rewritten: boolean
  ): void {
    const buffered = body !== undefined && this.modes.request === BodySendMode.BUFFERED
    const headers: Array<HeaderPair> = [[destinationHeader, destination]]
    // Envoy takes the length off a streamed body, and vLLM reads a body of known length faster.
    if (body !== undefined && !this.hasTrailers && (!buffered || rewritten)) {
      headers.push(["content-length", String(body.byteLength)])
    }
    const { writer } = this.picker
    const removed = this.headers.namesLike(isForPods)
    const routing = { headers, removed, metadataNamespace: destinationNamespace, metadata }
    if (buffered) return this.call.send(routedBuffered(writer, routing, rewritten ? body : undefined))
    this.call.send(routedStreamed(writer, routing, body, !this.hasTrailers))
    if (this.hasTrailers) this.call.send(goOn.request_trailers)
  }

  private bodyTooSlow(): void {
    this.picker.deps.metrics.timedOut("body")
    this.refuse(bodyTimedOut())
  }

  /** Has Envoy answer with an error of ours. */
  private refuse(error: GatewayError): void {
    if (this.gone || this.phase === "routed" || this.phase === "refused") return
    clearTimeout(this.bodyTimer)
    this.body.release()
    this.phase = "refused"
    this.book(error.status, "failed")
    this.picker.deps.metrics.refused(error)
    this.call.send(
      refusalResponse(this.picker.writer, error, this.headers.get("x-request-id"), this.route.prompt === "messages")
    )
    this.call.finish(grpcStatus.ok)
  }

  private book(status: number, outcome: "failed" | "aborted"): void {
    this.picker.deps.metrics.requestEnded(this.route.path, status, outcome, (performance.now() - this.startedMs) / 1000)
  }
}

const read = (bytes: Buffer): ProcessingRequest => {
  try {
    return readProcessingRequest(bytes)
  } catch (cause) {
    if (cause instanceof MalformedMessage) throw new GrpcError(grpcStatus.invalidArgument, cause.message)
    throw cause
  }
}

const noHeaders = new HeaderList()

const nothingKnown: RequestFacts = {
  model: "",
  cacheSalt: "",
  prompt: { tokensGuessed: 0 },
  followsPrefix: false,
  outputTokensMax: undefined,
  generates: false,
  streams: false,
  sessionHash: 0
}

const bodyTimedOut = () => new BodyTimedOut({ message: "the request's body did not come in time" })

const unusableMode = () =>
  new InternalError({
    message: "the request_body_mode of Envoy's ext_proc filter must be FULL_DUPLEX_STREAMED or BUFFERED for a picker"
  })
