import type { PodAddress } from "../core/Pod.ts"
import type { GatewayError } from "../errors.ts"
import { AnswerRenamer } from "./AnswerRenamer.ts"
import { AnswerTail, type Usage } from "./AnswerTail.ts"
import { directStream, isEventStream, isLonger, wholeBody } from "./answerBody.ts"
import { ClientStream, type StreamFeeder } from "./ClientStream.ts"
import { errorEvent } from "./errorEvent.ts"
import type { ReadRequest } from "./features/readRequest.ts"
import type { FrontOptions } from "./FrontOptions.ts"
import type { PodAnswer } from "./retry/Attempts.ts"
import { openingKinds } from "./rescue/openingKinds.ts"
import { StreamOpening } from "./rescue/StreamOpening.ts"
import { faultOfStatus, isFaultStatus, type PodFault } from "./retry/PodFault.ts"
import type { PromptKind } from "./routes.ts"
import type { ResponseHead } from "./upstream/UpstreamRequest.ts"

/** Whoever answers the client. */
export interface AnswerOwner extends StreamFeeder {
  readonly respond: (head: ResponseHead, body: BodyInit | null) => void
}

type Limits = Pick<FrontOptions, "clientStallTimeoutMs" | "errorAnswerBytesMax" | "wholeAnswerBytesMax">

/**
 * A pod's answer on its way to the client, from its head on: handed over as one when it is short or may yet be replaced
 * by another pod's, else streamed. A stream that another pod goes on with stays the same flow.
 */
export class AnswerFlow {
  readonly status: number
  readonly isEventStream: boolean
  /** Where the answer goes once bytes of it are on their way to the client. */
  private stream: ClientStream | undefined
  private readonly owner: AnswerOwner
  private readonly limits: Limits
  private readonly renamed: ReadRequest["renamed"]
  private readonly tail = new AnswerTail()
  private renamer: AnswerRenamer | undefined
  /** Kept until the answer is on its way. */
  private head: ResponseHead | undefined
  /** It says that the pod is broken, so another pod may do better. */
  private isPodFault: boolean
  /** It is collected and handed over as one. */
  private isWhole: boolean
  private waiting: Array<Uint8Array> | undefined
  /** Of a stream that has not begun to say anything. */
  private opening: StreamOpening | undefined

  constructor(
    head: ResponseHead,
    owner: AnswerOwner,
    limits: Limits,
    renamed: ReadRequest["renamed"],
    prompt: PromptKind
  ) {
    this.head = head
    this.status = head.status
    this.owner = owner
    this.limits = limits
    this.renamed = renamed
    this.isPodFault = isFaultStatus(head.status) && head.bodyBytes <= limits.errorAnswerBytesMax
    // Whatever stands before a pod may give a short stream a length.
    this.isEventStream = !this.isPodFault && isEventStream(head)
    const isShort = head.bodyBytes >= 0 && head.bodyBytes <= limits.wholeAnswerBytesMax
    this.isWhole = this.isPodFault || (isShort && !this.isEventStream)
    const kind = this.isEventStream ? openingKinds[prompt] : undefined
    if (kind !== undefined) this.opening = new StreamOpening(kind)
  }

  /** Bytes of it are on their way to the client. */
  get began(): boolean {
    return this.stream !== undefined
  }

  /** The client reads slower than the pods write. */
  get isHeld(): boolean {
    return this.stream?.isHeld === true
  }

  /** Bytes that say nothing of the answer; they go with the next that do. */
  holdsBack(bytes: Uint8Array): boolean {
    return this.opening?.holds(bytes) === true
  }

  /** Why the pod gave up before it said anything. */
  get surrender(): string | undefined {
    return this.opening?.surrender
  }

  /** It ended before it said anything. */
  get isCut(): boolean {
    return this.opening?.isCut === true
  }

  push(bytes: Uint8Array): void {
    if (this.opening !== undefined) this.passOnOpening(this.opening)
    this.tail.add(bytes)
    if (this.renamed === undefined) return this.passOn(bytes)
    this.renamer ??= new AnswerRenamer(this.renamed.from, this.renamed.to)
    this.passOn(this.renamer.push(bytes))
  }

  /** Past the renaming, in which what the gateway itself says has no part. */
  passOn(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    if (this.stream !== undefined) return this.stream.write(bytes)
    const waiting = this.waiting ??= []
    waiting.push(bytes)
    if (this.isPodFault && isLonger(waiting, this.limits.errorAnswerBytesMax)) {
      this.isWhole = false
      this.isPodFault = false
    }
    // Bun sends no complete head before the first piece, so until here a pod that breaks off can be replaced.
    if (this.isWhole) return
    this.waiting = undefined
    const stream = new ClientStream(this.owner, waiting, this.limits.clientStallTimeoutMs)
    this.respond(directStream(stream))
    this.stream = stream
  }

  private passOnOpening({ held }: StreamOpening): void {
    this.opening = undefined
    for (const piece of held) this.push(piece)
  }

  /** The pod has said all: what was held back for more that did not come goes too. */
  passOnRest(): void {
    if (this.opening !== undefined) this.passOnOpening(this.opening)
    const rest = this.renamer?.end()
    if (rest !== undefined) this.passOn(rest)
  }

  /** The whole answer is a complaint about the pod itself. */
  get fault(): PodFault | undefined {
    return this.isPodFault && isFaultStatus(this.status) ? faultOfStatus(this.status) : undefined
  }

  /** What has been collected, for the time when no other pod does better. */
  collected(pod: PodAddress): PodAnswer | undefined {
    return this.head === undefined ? undefined : { head: this.head, pieces: this.waiting, pod }
  }

  /** Hands over the whole answer, unless it is streamed. */
  respondWhole(): void {
    if (this.stream === undefined) this.respond(wholeBody(this.waiting))
  }

  /** Of a stream. */
  end(): void {
    this.stream?.end()
  }

  /** Nobody shall take what was sent for the whole. */
  break(): void {
    this.stream?.break()
  }

  /**
   * Breaks off after bytes were sent. An event stream ends in good order with an error event, the pod's own words where
   * it had some; of any other answer the client's connection breaks.
   */
  lose(error: GatewayError, prompt: PromptKind, podsWords: Uint8Array | undefined): void {
    if (!this.isEventStream) return this.break()
    this.passOnRest()
    this.passOn(podsWords ?? errorEvent(error, prompt, this.tail.endsEvent))
    this.end()
  }

  usage(): Usage | undefined {
    return this.tail.usage()
  }

  /** vLLM sends an event a token; the first and the last carry none. */
  get countedTokens(): number | undefined {
    return this.isEventStream ? Math.max(0, this.tail.pieces - 2) : undefined
  }

  private respond(body: BodyInit | null): void {
    const { head } = this
    // Thousands of streams may be open for minutes.
    this.head = undefined
    if (head !== undefined) this.owner.respond(head, body)
  }
}
