import type { Decision, RequestEnd } from "../../actors/SchedulerPort.ts"
import type { PodAddress } from "../core/Pod.ts"
import type { GatewayError } from "../errors.ts"
import type { AnswerFlow } from "./AnswerFlow.ts"
import type { Usage } from "./AnswerTail.ts"
import { decisionEntry, type DecisionSample } from "./decisionSample.ts"
import type { Front } from "./Front.ts"
import type { FrontDeps } from "./FrontOptions.ts"
import type { ProxyRoute } from "./routes.ts"
import type { UpstreamCall } from "./upstream/UpstreamCall.ts"
import type { ResponseHead } from "./upstream/UpstreamRequest.ts"

/** The exchange whose request it is. */
export interface TriesOwner {
  readonly deps: FrontDeps
  readonly front: Front
  readonly route: ProxyRoute
  readonly requestId: string
  readonly startedMs: number
  /** It is over: nothing may follow but what is under way to the client. */
  readonly settled: boolean
  readonly respond: (head: ResponseHead, body: BodyInit | null, answeredBy: PodAddress) => void
  /** Ends the books, and with them the try in hand. */
  readonly settle: (outcome: RequestEnd["outcome"], status: number, usage: Usage | undefined) => void
  /** Answers with an error of the gateway's own. */
  readonly refuse: (error: GatewayError) => void
  /** What was thrown, as an error for the client. */
  readonly errorOf: (cause: unknown) => GatewayError
  readonly clientGone: () => void
}

/** One try at a pod, from its pick to the end of its reservation; when the pod fails, another one may follow. */
export class PodTry {
  readonly decision: Decision
  readonly pickedMs = performance.now()
  call: UpstreamCall | undefined
  firstTokenSeen = false
  /** From the pick to the first token; only a stream shows it. */
  private observedTtftMs: number | undefined
  private readonly owner: TriesOwner
  private readonly model: string

  constructor(owner: TriesOwner, model: string, decision: Decision) {
    this.owner = owner
    this.model = model
    this.decision = decision
  }

  /** Undefined: as for any request. */
  get firstByteTimeoutMs(): number | undefined {
    return this.decision.probes === true ? this.owner.deps.options.probeTimeoutMs : undefined
  }

  /** Whether output begins in these bytes of its answer; never in an error. */
  beginsIn({ isEventStream, status }: AnswerFlow, bytes: Uint8Array): boolean {
    const isAnswer = status >= 200 && status <= 299
    const mark = isEventStream ? this.owner.route.firstTokenMark : undefined
    if (isAnswer && mark !== undefined && !includesText(bytes, mark)) return false
    this.firstTokenSeen = true
    return isAnswer
  }

  /** Output has begun. `continues`: of a stream that began at another pod. */
  firstToken(isStream: boolean, continues: boolean): void {
    const { deps: { metrics, scheduler }, route, startedMs } = this.owner
    const { address, predictedTtftS, reservation } = this.decision
    scheduler.firstToken(reservation)
    if (continues) return
    const nowMs = performance.now()
    metrics.firstByte(route.path, (nowMs - startedMs) / 1000)
    if (!isStream || !route.generates) return
    this.observedTtftMs = nowMs - this.pickedMs
    metrics.ttft(address.id, predictedTtftS, this.observedTtftMs / 1000)
  }

  /** Gives the reservation back and logs what became of the decision, if its request is in the log's `sample`. */
  end(
    outcome: RequestEnd["outcome"],
    usage: Usage | undefined,
    outputTokens: number | undefined,
    sample: DecisionSample | undefined
  ): void {
    const { decision, model, observedTtftMs, pickedMs } = this
    const { deps: { decisionLog, scheduler }, requestId, startedMs } = this.owner
    const isBare = usage === undefined && outputTokens === undefined
    scheduler.end(decision.reservation, isBare ? bareEnds[outcome] : { outcome, ...usage, outputTokens })
    if (sample === undefined) return
    const result = { requestId, model, startedMs, pickedMs, observedTtftMs, outcome, usage, outputTokens }
    decisionLog?.write(decisionEntry(sample, decision, result))
  }
}

const bareEnds = {
  aborted: { outcome: "aborted" },
  failed: { outcome: "failed" },
  finished: { outcome: "finished" }
} as const

const includesText = (bytes: Uint8Array, text: string): boolean =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(text)
