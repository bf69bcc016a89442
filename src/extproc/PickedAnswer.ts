import { isIP } from "node:net"
import type { Decision, RequestEnd } from "../../actors/SchedulerPort.ts"
import { AnswerRenamer } from "../http/AnswerRenamer.ts"
import { AnswerTail, type Usage } from "../http/AnswerTail.ts"
import { decisionEntry, type DecisionSample } from "../http/decisionSample.ts"
import type { PromptFeatures } from "../http/features/PromptFeatures.ts"
import type { ReadRequest } from "../http/features/readRequest.ts"
import type { ProxyRoute } from "../http/routes.ts"
import { isEnvoysOwnAnswer, servedPodOf } from "./destination.ts"
import type { ExtProcDeps } from "./ExtProcOptions.ts"
import type { Picker } from "./Picker.ts"
import { BodySendMode } from "./wire/envoyFields.ts"
import type { FrameWriter } from "./wire/FrameWriter.ts"
import type { HeaderList } from "./wire/HeaderList.ts"
import type { BodyModes, ProcessingRequest } from "./wire/processingRequest.ts"
import {
  answerHeadersResponse,
  changedAnswer,
  goOn,
  type HeaderPair,
  streamedAnswer
} from "./wire/processingResponse.ts"

/** What the request's part knew when its pod was named. */
export interface Picked {
  readonly route: ProxyRoute
  readonly features: PromptFeatures
  readonly decision: Decision
  readonly modes: BodyModes
  readonly requestId: string
  /** Names to exchange in the answer, where a rewrite of the cluster changed the model. */
  readonly renamed: ReadRequest["renamed"]
  /** Undefined: this request is not in the decision log. */
  readonly sample: DecisionSample | undefined
  /** `performance.now()` at the request's arrival. */
  readonly startedMs: number
  readonly pickedMs: number
}

const noBytes = new Uint8Array(0)

/** Status for the books when the client left before it had one. */
export const clientGoneStatus = 499

/**
 * The answer to a request whose pod was picked, from Envoy's tale of it. Sees the first token, usage and end as far as
 * Envoy shows the body, follows Envoy to a fallback, and ends the reservation and the books exactly once.
 */
export class PickedAnswer {
  private readonly deps: ExtProcDeps
  private readonly writer: FrameWriter
  private readonly picked: Picked
  private readonly tail = new AnswerTail()
  /** Undefined while Envoy's change to a fallback is being booked. */
  private decision: Decision | undefined
  private status = clientGoneStatus
  private isEventStream = false
  /** No pod's answer came. */
  private isEnvoysOwn = false
  private firstTokenSeen = false
  private observedTtftMs: number | undefined
  private end: RequestEnd | undefined
  private readonly renamer: AnswerRenamer | undefined

  constructor({ deps, writer }: Picker, picked: Picked) {
    this.deps = deps
    this.writer = writer
    this.picked = picked
    this.decision = picked.decision
    const { renamed } = picked
    this.renamer = renamed === undefined ? undefined : new AnswerRenamer(renamed.from, renamed.to)
  }

  /** A part of the answer; what Envoy wants to hear before it goes on is returned. */
  onPart(request: ProcessingRequest): Buffer {
    const { part } = request
    switch (part.kind) {
      case "response_headers":
        return this.onHeaders(part.headers, part.ends, request)
      case "response_body":
        return this.onBody(part.body, part.ends)
      default:
        this.settle(this.endOutcome, this.tail.usage())
        return this.onTrailers()
    }
  }

  /** The gRPC stream is gone: the answer is through, or its client. */
  streamGone(): void {
    // Of an answer whose body Envoy keeps to itself, only the end of the stream tells the end.
    const unseen = this.picked.modes.response === BodySendMode.NONE && this.tail.pieces === 0
    this.settle(unseen && this.status !== clientGoneStatus ? this.endOutcome : "aborted", undefined)
  }

  private get isGood(): boolean {
    return this.status >= 200 && this.status <= 299
  }

  /** A pod's own error is an answer too. */
  private get endOutcome(): "finished" | "failed" {
    return this.isEnvoysOwn ? "failed" : "finished"
  }

  private onHeaders(headers: HeaderList, ends: boolean, request: ProcessingRequest): Buffer {
    const { modes } = this.picked
    this.status = Number(headers.get(":status") ?? 0)
    this.isEventStream = headers.get("content-type")?.startsWith("text/event-stream") === true
    this.isEnvoysOwn = isEnvoysOwnAnswer(request)
    if (this.isEnvoysOwn) this.reportFailure("envoy-answered", `Envoy answered ${this.status} in its place`)
    const served = servedPodOf(request)
    if (served !== undefined && served !== this.decision?.address.id) this.follow(served)
    const pod = served ?? this.decision?.address.id
    if (ends) this.settle(this.endOutcome, undefined)
    // An answer in one piece is worth a callback for its usage; a stream would be one for each token, which only a name
    // in it that must be changed is worth.
    const wanted = !ends && modes.response === BodySendMode.NONE &&
      (!this.isEventStream || this.renamer !== undefined) && modes.request !== BodySendMode.FULL_DUPLEX_STREAMED
    // Where the body stays with Envoy the answer keeps the pod's own name of the model.
    const dropLength = this.renamer !== undefined && (wanted || modes.response !== BodySendMode.NONE)
    return answerHeadersResponse(this.writer, { headers: this.headersNaming(pod), dropLength, watchBody: wanted })
  }

  /** What the client is told of the pod that served. */
  private headersNaming(pod: string | undefined): ReadonlyArray<HeaderPair> {
    const { deps: { front: { deps: { options } } }, picked: { decision } } = this
    const headers: Array<HeaderPair> = []
    if (pod === undefined) return headers
    if (options.exposePodHeader) headers.push(["x-warmroute-pod", pod])
    const { sessionHeader, sessionTokens } = options
    if (sessionHeader === undefined || sessionTokens === undefined) return headers
    const address = [decision.address, ...decision.fallbacks ?? []].find(({ id }) => id === pod)
    if (address !== undefined) headers.push([sessionHeader, sessionTokens.tokenOf(address)])
    return headers
  }

  private onBody(body: Buffer, ends: boolean): Buffer {
    if (body.length > 0) {
      this.tail.add(body)
      if (!this.firstTokenSeen) this.lookForFirstToken(body)
    }
    if (ends) this.settle(this.endOutcome, this.tail.usage())
    const { renamer, writer } = this
    const inDuplex = this.picked.modes.response === BodySendMode.FULL_DUPLEX_STREAMED
    if (renamer === undefined) return inDuplex ? streamedAnswer(writer, body, ends) : goOn.response_body
    const changed = renamer.push(body)
    const whole = ends ? Buffer.concat([changed, renamer.end() ?? noBytes]) : changed
    return inDuplex ? streamedAnswer(writer, whole, ends) : changedAnswer(writer, whole)
  }

  private onTrailers(): Buffer {
    const rest = this.renamer?.end()
    return rest === undefined || this.picked.modes.response !== BodySendMode.FULL_DUPLEX_STREAMED
      ? goOn.response_trailers
      : Buffer.concat([streamedAnswer(this.writer, rest, false), goOn.response_trailers])
  }

  private lookForFirstToken(body: Buffer): void {
    const { deps, picked: { pickedMs, route, startedMs } } = this
    if (this.isGood) {
      const mark = this.isEventStream ? route.firstTokenMark : undefined
      if (mark !== undefined && !body.includes(mark)) return
      const nowMs = performance.now()
      deps.metrics.firstByte(route.path, (nowMs - startedMs) / 1000)
      const { decision } = this
      if (decision !== undefined) {
        deps.scheduler.firstToken(decision.reservation)
        if (this.isEventStream && route.generates) {
          this.observedTtftMs = nowMs - pickedMs
          deps.metrics.ttft(decision.address.id, decision.predictedTtftS, this.observedTtftMs / 1000)
        }
      }
    }
    this.firstTokenSeen = true
  }

  /** Envoy got its answer from another pod than the picked one: the load is there now. */
  private follow(served: string): void {
    const { deps, picked: { features } } = this
    const { decision } = this
    // Envoy tells an address, which can't be compared with the name of a host.
    if (decision === undefined || isIP(decision.address.hostname) === 0) return
    this.reportFailure("envoy-went-on", `Envoy went on to ${served}`)
    deps.scheduler.end(decision.reservation, { outcome: "failed" })
    this.logDecision(decision, "failed", undefined)
    this.decision = undefined
    features.only = [served]
    features.fallbacksMax = undefined
    deps.scheduler.pick(features).then(
      (moved) => {
        if (this.end !== undefined) return deps.scheduler.end(moved.reservation, this.end)
        this.decision = moved
        if (this.firstTokenSeen) deps.scheduler.firstToken(moved.reservation)
      },
      // A pod that the pool does not know, or no longer, has no load to book.
      () => {}
    )
  }

  private reportFailure(reason: "envoy-answered" | "envoy-went-on", why: string): void {
    const { decision } = this
    if (decision === undefined) return
    this.deps.metrics.podFailed(decision.address.id, reason)
    this.deps.scheduler.podFailed(decision.address.id, { reservation: decision.reservation, why, sure: true })
  }

  private settle(outcome: RequestEnd["outcome"], usage: Usage | undefined): void {
    if (this.end !== undefined) return
    const { decision, deps, picked: { features, route, startedMs } } = this
    const outputTokens = usage?.outputTokens ?? this.countedOutputTokens()
    this.end = { outcome, ...usage, outputTokens }
    if (decision !== undefined) {
      // A whole answer had its first token, also where its body was not seen: the prompt is in the pod's cache now.
      if (outcome === "finished" && !this.firstTokenSeen && this.isGood) deps.scheduler.firstToken(decision.reservation)
      deps.scheduler.end(decision.reservation, this.end)
      this.logDecision(decision, outcome, usage)
    }
    deps.metrics.tokens(features.model, usage?.promptTokens, usage?.cachedTokens, outputTokens)
    if (usage?.promptTokens !== undefined && route.generates) {
      deps.front.workshop.bytesPerToken.learn(features.model, features.textBytes, usage.promptTokens)
    }
    deps.metrics.requestEnded(route.path, this.status, outcome, (performance.now() - startedMs) / 1000)
  }

  private logDecision(decision: Decision, outcome: RequestEnd["outcome"], usage: Usage | undefined): void {
    const { features, pickedMs, requestId, sample, startedMs } = this.picked
    if (sample === undefined) return
    const { observedTtftMs } = this
    const outputTokens = usage?.outputTokens ?? this.countedOutputTokens()
    const { model } = features
    const result = { requestId, model, startedMs, pickedMs, observedTtftMs, outcome, usage, outputTokens }
    this.deps.decisionLog?.write(decisionEntry(sample, decision, result))
  }

  /** vLLM sends an event a token; the first and the last carry none. Envoy may join a few of them. */
  private countedOutputTokens(): number | undefined {
    return this.isEventStream && this.picked.route.generates && this.tail.pieces > 0
      ? Math.max(0, this.tail.pieces - 2)
      : undefined
  }
}
