import type { Usage } from "../AnswerTail.ts"
import { ContinuedAnswer } from "./ContinuedAnswer.ts"
import { continuedBody } from "./continuedBody.ts"
import type { RescueBytes } from "./RescueBytes.ts"
import type { StreamTerms } from "./StreamTerms.ts"
import { hasContent, TokenEvents } from "./TokenEvents.ts"
import { TokenTrail } from "./TokenTrail.ts"

export interface RescueOptions {
  readonly enabled: boolean
  /** Pods that may go on with one stream, one after the other. */
  readonly attemptsMax: number
  /** Token ids kept for one stream, and for all together. */
  readonly streamBytesMax: number
  readonly bytesMax: number
}

/**
 * Why a stream that lost its pod does not go on elsewhere. no-tokens: the pod told no token ids, or there was no room
 * for them. not-text: reasoning or a tool call was under way, or nothing said yet. refused: the other pod did not take
 * it. length: nothing is left to say, or unknown how much.
 */
export type RescueDenial = "limit" | "no-tokens" | "not-text" | "refused" | "length" | "no-pod"

/** What a stream keeps so that another pod can go on with it, and who speaks now. */
export class StreamRescue {
  /** A pod would not go on, for a reason that other pods share. */
  refused = false
  private readonly terms: StreamTerms
  private readonly trail: TokenTrail
  private readonly attemptsMax: number
  private events: TokenEvents
  private answer: ContinuedAnswer | undefined
  private attempts = 0
  /** Counts of an answer that we ended. */
  private closed: Usage | undefined

  constructor(terms: StreamTerms, room: RescueBytes, { attemptsMax, streamBytesMax }: RescueOptions) {
    this.terms = terms
    this.attemptsMax = attemptsMax
    this.trail = new TokenTrail(room, streamBytesMax)
    this.events = this.newEvents()
  }

  /** The pod in hand is not the one that began. */
  get continues(): boolean {
    return this.answer !== undefined
  }

  /** The pod in hand gave up, though its connection lives. */
  get surrendered(): boolean {
    return this.answer?.surrendered ?? this.events.surrender !== undefined
  }

  /** The first pod's own words for that. */
  get surrender(): Uint8Array | undefined {
    return this.events.surrender
  }

  /** The answer ended before it said why. */
  get isCut(): boolean {
    return this.answer === undefined ? this.trail.kept && !this.events.finished : !this.answer.done
  }

  /** As the client was told, or would have been; undefined where the pod that began told it, or may still. */
  get usage(): Usage | undefined {
    return this.closed ?? this.answer?.usage
  }

  /** The pod in hand was given up before its answer began. */
  startOver(): void {
    this.trail.release()
    this.events = this.newEvents()
  }

  /** What the client gets for a piece of the pod's event stream. */
  push(piece: Uint8Array): Uint8Array {
    return this.answer === undefined ? this.events.push(piece) : this.answer.push(piece)
  }

  /** What is still missing, when the pod was lost behind the last word. */
  closing(): Uint8Array | undefined {
    const answer = this.answer ?? this.wholeAnswer()
    if (answer?.finished !== true) return undefined
    const { usageTold } = this.events
    const bytes = answer.closing(usageTold)
    if (!usageTold) this.closed = answer.usage
    return bytes
  }

  /** `toldAll`: the pod that was lost tells tokens too that have no word in the answer. */
  denial(toldAll: boolean): RescueDenial | undefined {
    if (this.refused) return "refused"
    if (!this.trail.kept) return "no-tokens"
    if (this.attempts >= this.attemptsMax) return "limit"
    return this.isText(toldAll) ? undefined : "not-text"
  }

  /** From here on another pod speaks; the request for it. Undefined: there is nothing left to ask for. */
  goOn(maxModelLen: number | undefined): Uint8Array | undefined {
    this.attempts++
    this.trail.rollBack()
    this.answer = new ContinuedAnswer(this.terms, this.trail, this.events.first)
    return continuedBody(this.terms, this.trail, maxModelLen)
  }

  /** The pod that was to go on never heard of it. */
  notAsked(): void {
    this.attempts--
  }

  /** What an event stream holds back when it ends. */
  rest(): Uint8Array | undefined {
    return this.answer === undefined ? this.events.rest() : undefined
  }

  /** Gives the memory back; harmless when repeated. */
  release(): void {
    this.trail.release()
  }

  /** The first pod's, when it had said its last word. */
  private wholeAnswer(): ContinuedAnswer | undefined {
    if (!this.events.finished || !this.trail.kept) return undefined
    const answer = new ContinuedAnswer(this.terms, this.trail, this.events.first)
    answer.finished = true
    return answer
  }

  private newEvents(): TokenEvents {
    return new TokenEvents(this.terms.kind, this.terms.showsTokenIds, this.trail)
  }

  /** Ids go on as plain text; what parsers of the pod's make of reasoning and calls could not be kept up. */
  private isText(toldAll: boolean): boolean {
    if (this.terms.kind === "completions" || this.answer !== undefined) return true
    if (this.events.reasons && !toldAll) return false
    const { last } = this.events
    return last !== undefined && hasContent(last)
  }
}

/** A client may refuse; what it says otherwise means yes. */
export const isRescueWanted = (headers: Pick<Headers, "get">): boolean =>
  headers.get("x-warmroute-rescue")?.trim().toLowerCase() !== "off"
