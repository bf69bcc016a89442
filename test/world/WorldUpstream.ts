import type { PodAddress, PodId } from "../../src/core/Pod.ts"
import type {
  ResponseHead,
  UpstreamErrorKind,
  UpstreamHandler,
  UpstreamRequest
} from "../../src/http/upstream/UpstreamRequest.ts"
import type { SeededRandom } from "../../src/simulator/SeededRandom.ts"
import type { FaultyFleet } from "./FaultyFleet.ts"
import type { Call, Caller, Surrender } from "./FaultyPod.ts"
import type { VirtualTime } from "./VirtualTime.ts"
import {
  abortEvent,
  type AnswerTerms,
  plainAnswer,
  type PodUsage,
  promptIds,
  streamEnd,
  surrender,
  tokenEvents,
  tokenId
} from "./WorldAnswer.ts"
import type { WorldPlan } from "./WorldPlan.ts"
import type { WorldRequest } from "./WorldRequest.ts"

export interface UpstreamDeps {
  readonly fleet: FaultyFleet
  readonly time: VirtualTime
  readonly plan: WorldPlan
  readonly random: SeededRandom
  /** By its number. */
  readonly requestOf: (number: number) => WorldRequest
  /** A pod gave up in the middle of an answer in a way that only a stream with token ids shows for what it is. */
  readonly onGaveUp: (number: number) => void
  /** Bytes of a pod's answer came. */
  readonly onBytes: (id: PodId) => void
  readonly onViolation: (what: string) => void
}

interface PodBody {
  readonly seed: number
  readonly prompt?: ReadonlyArray<number>
  readonly max_tokens?: number
  readonly return_token_ids?: boolean
  readonly stream_options?: { readonly include_usage?: boolean }
}

/** The client towards pods of one gateway process: real requests, and answers as vLLM writes them, but no sockets. */
export class WorldUpstream {
  readonly open = new Set<WorldCall>()
  readonly deps: UpstreamDeps

  constructor(deps: UpstreamDeps) {
    this.deps = deps
  }

  request({ id }: PodAddress, request: UpstreamRequest, handler: UpstreamHandler): WorldCall {
    const call = new WorldCall(this, id, request, handler)
    this.open.add(call)
    return call
  }

  replaceOptions(): void {}

  /** The process is no more. */
  lose(): void {
    for (const call of this.open) call.abort()
  }
}

/** One try at a pod; what `UpstreamCall` is over sockets. */
class WorldCall implements Caller {
  private readonly upstream: WorldUpstream
  private readonly id: PodId
  private readonly handler: UpstreamHandler
  private readonly request: WorldRequest
  private readonly terms: AnswerTerms
  private readonly firstByteTimeoutMs: number
  private call: Call | undefined
  private hasHead = false
  private isStalled = false
  private timer: ReturnType<VirtualTime["after"]> | undefined

  constructor(upstream: WorldUpstream, id: PodId, request: UpstreamRequest, handler: UpstreamHandler) {
    const { fleet, plan, requestOf } = upstream.deps
    this.upstream = upstream
    this.id = id
    this.handler = handler
    const body = JSON.parse(bytesOf(request).toString()) as PodBody
    this.request = requestOf(body.seed)
    this.terms = this.termsOf(id, request.target, body)
    this.firstByteTimeoutMs = request.firstByteTimeoutMs ?? plan.firstByteTimeoutMs
    const isCut = fleet.podOf(id).trouble === "partitioned"
    if (!isCut) this.call = fleet.send(id, this.request, this.terms.said, this)
    this.startTimer(
      isCut ? plan.connectTimeoutMs : this.firstByteTimeoutMs,
      isCut ? "connect-timeout" : "first-byte-timeout"
    )
  }

  abort(): void {
    this.over()
    if (this.call?.isOpen === true) this.call.pod.drop(this.call)
  }

  pause(): void {}

  resume(): void {}

  tokens(from: number, to: number): void {
    this.begin(streamHead)
    this.write(tokenEvents(this.request, this.terms, from, to))
  }

  end(usage: PodUsage): void {
    const { request, terms } = this
    if (request.features.streams) this.write(streamEnd(terms, usage))
    else this.answerWith(200, plainAnswer(request, terms, usage))
    this.finish()
  }

  gaveUp(how: Surrender): void {
    this.upstream.deps.onGaveUp(this.request.number)
    if (how === "error-event") this.write(surrender)
    if (how === "abort") this.write(abortEvent(this.terms))
    this.finish()
  }

  answer(status: 400 | 500 | 503): void {
    this.answerWith(status, `{"object":"error","message":"the pod's own","code":${status}}`)
    this.finish()
  }

  broke(kind: UpstreamErrorKind): void {
    const isOpen = this.upstream.open.has(this)
    const answered = this.hasHead
    this.abort()
    if (isOpen) this.handler.onError({ kind, message: kind, answered })
  }

  stalled(isStalled: boolean): void {
    this.isStalled = isStalled
    if (!this.hasHead) return
    this.stopTimer()
    if (isStalled) this.startTimer(this.upstream.deps.plan.silenceTimeoutMs, "silent")
  }

  /** What it is asked for; another pod's words in the prompt must be exactly those that the client has. */
  private termsOf(id: PodId, target: string, body: PodBody): AnswerTerms {
    const { request, upstream: { deps } } = this
    const said = Math.max(0, (body.prompt?.length ?? 0) - promptIds(request).length)
    const kind = target === "/v1/completions" ? "completions" : "chat"
    if (body.prompt !== undefined) {
      const expected = [...promptIds(request), ...Array.from({ length: said }, (_, at) => tokenId(request, at))]
      if (body.prompt.join() !== expected.join()) {
        deps.onViolation(`request ${request.number} went on with other tokens than were said: ${body.prompt.join()}`)
      }
    }
    const limit = request.features.outputTokensMax
    if (limit !== undefined && body.max_tokens !== limit - said) {
      deps.onViolation(`request ${request.number} may say ${body.max_tokens} more, ${limit} less ${said} are left`)
    }
    return {
      kind,
      said,
      id: `${id}-${request.number}-${said}`,
      showsTokenIds: body.return_token_ids === true,
      includesUsage: body.stream_options?.include_usage === true
    }
  }

  private begin(head: ResponseHead): void {
    this.stopTimer()
    if (this.isStalled) this.startTimer(this.upstream.deps.plan.silenceTimeoutMs, "silent")
    if (this.hasHead) return
    this.hasHead = true
    this.handler.onHead(head)
  }

  private answerWith(status: number, body: string): void {
    this.begin({
      status,
      reason: "",
      headers: ["content-type", "application/json", "content-length", `${body.length}`],
      bodyBytes: body.length
    })
    this.write(body)
  }

  /** Pieces fall where they may, though no network cuts an event in many. */
  private write(text: string): void {
    const { onBytes, random } = this.upstream.deps
    onBytes(this.id)
    let from = 0
    for (let pieces = 1; from < text.length && this.upstream.open.has(this); pieces++) {
      const to = pieces === 3 || random.uniform() < 0.7 ? text.length : from + 1 + random.below(text.length - from)
      this.handler.onData(Buffer.from(text.slice(from, to)))
      from = to
    }
  }

  private finish(): void {
    if (!this.upstream.open.has(this)) return
    this.over()
    this.handler.onEnd()
  }

  private over(): void {
    this.stopTimer()
    this.upstream.open.delete(this)
  }

  private startTimer(ms: number, kind: UpstreamErrorKind): void {
    this.timer = this.upstream.deps.time.after(ms, () => this.broke(kind))
  }

  private stopTimer(): void {
    this.upstream.deps.time.cancel(this.timer)
    this.timer = undefined
  }
}

const streamHead: ResponseHead = {
  status: 200,
  reason: "OK",
  headers: ["content-type", "text/event-stream; charset=utf-8"],
  bodyBytes: -1
}

const bytesOf = ({ body }: UpstreamRequest): Buffer => {
  if (body === undefined || !(body instanceof Uint8Array)) throw new Error("a request without bytes")
  return Buffer.from(body)
}
