import type { Usage } from "../AnswerTail.ts"
import type { StreamTerms } from "./StreamTerms.ts"
import type { TokenTrail } from "./TokenTrail.ts"

interface Continuation {
  readonly choices?: ReadonlyArray<{
    readonly text?: string
    readonly finish_reason?: string | null
    readonly stop_reason?: unknown
    readonly token_ids?: ReadonlyArray<number> | null
  }>
  readonly usage?: {
    readonly completion_tokens?: number
    readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null
  } | null
  readonly system_fingerprint?: string
  readonly error?: unknown
}

/** A half event may not grow beyond this. */
const partialCharsMax = 32 * 1024 * 1024

/**
 * Turns the completion with which another pod goes on into further events of the answer that the client is reading:
 * the id, the model and the shape of its first event, and counts as if one pod had said it all.
 */
export class ContinuedAnswer {
  finished = false
  /** The client has the whole answer. */
  done = false
  /** The pod gave up in mid-answer. */
  surrendered = false
  usage: Usage | undefined
  private readonly terms: StreamTerms
  private readonly trail: TokenTrail
  private readonly head: Readonly<Record<string, unknown>>
  private readonly saidBefore: number
  private saidHere = 0
  private readonly promptTokens: number
  private readonly decoder = new TextDecoder()
  private partial = ""

  /** `first`: JSON of the answer's first event. Throws when it is none. */
  constructor(terms: StreamTerms, trail: TokenTrail, first: string) {
    this.terms = terms
    this.trail = trail
    const { id, object, created, model } = JSON.parse(first) as Record<string, unknown>
    this.head = { id, object, created, model }
    this.saidBefore = trail.outputTokens
    this.promptTokens = trail.promptTokens
  }

  /** Events for the client, from a piece of the other pod's; perhaps nothing. */
  push(piece: Uint8Array): Uint8Array {
    const events = (this.partial + this.decoder.decode(piece, { stream: true })).split("\n\n")
    this.partial = events.pop() ?? ""
    if (this.partial.length > partialCharsMax) this.surrendered = true
    let text = ""
    for (const event of events) {
      if (this.surrendered) break
      if (event.startsWith("data: ")) text += this.event(event.slice("data: ".length))
    }
    return Buffer.from(text)
  }

  /**
   * The end of an answer whose last words the client has: usage, when it asked for that, and the end mark. `usageTold`:
   * the pod that began had told it.
   */
  closing(usageTold: boolean): Uint8Array {
    this.done = true
    const outputTokens = this.saidBefore + this.saidHere
    const isOwed = this.terms.includeUsage && !usageTold && this.usage === undefined
    this.usage ??= { promptTokens: this.promptTokens, cachedTokens: undefined, outputTokens }
    const usage = isOwed ? this.line({ choices: [], usage: this.counts(outputTokens) }) : ""
    return Buffer.from(`${usage}data: [DONE]\n\n`)
  }

  private event(data: string): string {
    if (data === "[DONE]") {
      this.done = this.finished
      return this.done ? "data: [DONE]\n\n" : ""
    }
    const event = parsed(data)
    const choice = event?.choices?.[0]
    if (event === undefined || event.error !== undefined || choice?.finish_reason === "abort") {
      this.surrendered = true
      return ""
    }
    if (choice !== undefined) return this.words(choice, event)
    return event.usage === undefined || event.usage === null ? "" : this.end(event.usage, event.system_fingerprint)
  }

  private words(choice: NonNullable<Continuation["choices"]>[number], event: Continuation): string {
    const { finish_reason = null, stop_reason = null, text = "", token_ids } = choice
    if (token_ids !== undefined && token_ids !== null && token_ids.length > 0) {
      this.saidHere += token_ids.length
      const ids = Buffer.from(token_ids.join(","))
      this.trail.append(ids, 0, ids.length)
    }
    if (finish_reason !== null) this.finished = true
    if (text !== "" || this.finished) this.trail.commit()
    const ids = this.terms.showsTokenIds ? token_ids : null
    const reason = { finish_reason, ...(this.finished || this.terms.kind === "completions" ? { stop_reason } : {}) }
    const said = this.terms.kind === "chat"
      ? { index: 0, delta: { content: text }, logprobs: null, ...reason, token_ids: ids }
      : { index: 0, text, logprobs: null, ...reason, prompt_token_ids: null, token_ids: ids }
    const now = event.usage?.completion_tokens
    const counts = now === undefined
      ? {}
      : { usage: { ...this.counts(this.saidBefore + now), completion_tokens_details: null } }
    const fingerprint = event.system_fingerprint
    return this.line({
      choices: [said],
      ...(this.terms.continuousUsage ? counts : {}),
      ...(fingerprint === undefined || this.terms.includeUsage ? {} : { system_fingerprint: fingerprint })
    })
  }

  private end(usage: NonNullable<Continuation["usage"]>, fingerprint: string | undefined): string {
    const outputTokens = this.saidBefore + (usage.completion_tokens ?? 0)
    const cached = usage.prompt_tokens_details?.cached_tokens
    const cachedTokens = cached === undefined ? undefined : Math.min(cached, this.promptTokens)
    this.usage = { promptTokens: this.promptTokens, cachedTokens, outputTokens }
    if (!this.terms.includeUsage) return ""
    const details = cachedTokens === undefined ? {} : { prompt_tokens_details: { cached_tokens: cachedTokens } }
    return this.line({
      choices: [],
      usage: { ...this.counts(outputTokens), ...details },
      ...(fingerprint === undefined ? {} : { system_fingerprint: fingerprint })
    })
  }

  private counts(outputTokens: number): object {
    return {
      prompt_tokens: this.promptTokens,
      total_tokens: this.promptTokens + outputTokens,
      completion_tokens: outputTokens
    }
  }

  private line(members: object): string {
    return `data: ${JSON.stringify({ ...this.head, ...members })}\n\n`
  }
}

/** Undefined: no event of a completion. */
const parsed = (data: string): Continuation | undefined => {
  try {
    const value: unknown = JSON.parse(data)
    return isContinuation(value) ? value : undefined
  } catch {
    return undefined
  }
}

type Members = Readonly<Record<string, unknown>>

const isMembers = (value: unknown): value is Members =>
  typeof value === "object" && value !== null && !Array.isArray(value)
const isUnset = (value: unknown): boolean => value === undefined || value === null
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0

const isContinuation = (value: unknown): value is Continuation =>
  isMembers(value) && isUsage(value["usage"]) &&
  (value["choices"] === undefined ||
    (Array.isArray(value["choices"]) && (value["choices"].length === 0 || isChoice(value["choices"][0]))))

/** Its ids go into the request to yet another pod. */
const isChoice = (choice: unknown): boolean =>
  isMembers(choice) && (choice["text"] === undefined || typeof choice["text"] === "string") &&
  (isUnset(choice["token_ids"]) || (Array.isArray(choice["token_ids"]) && choice["token_ids"].every(isCount)))

const isUsage = (usage: unknown): boolean => {
  if (isUnset(usage)) return true
  if (!isMembers(usage) || !(isUnset(usage["completion_tokens"]) || isCount(usage["completion_tokens"]))) return false
  const details = usage["prompt_tokens_details"]
  return isUnset(details) ||
    (isMembers(details) && (isUnset(details["cached_tokens"]) || isCount(details["cached_tokens"])))
}
