import { finishReasonOf, promptIds, textOf } from "./WorldAnswer.ts"
import type { WorldRequest } from "./WorldRequest.ts"

interface AnswerEvent {
  readonly id?: string
  readonly error?: { readonly message?: string; readonly code?: unknown }
  readonly choices?: ReadonlyArray<{
    readonly delta?: { readonly content?: string }
    readonly message?: { readonly content: string }
    readonly text?: string
    readonly finish_reason: string | null
    readonly token_ids?: unknown
  }>
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number; readonly total_tokens: number }
}

/** What a client got, read the way that an SDK reads it. */
export class ClientAnswer {
  status = 0
  /** The gateway's own code of an error. */
  code: string | undefined
  /** The answer's words so far. */
  text = ""
  private readonly request: WorldRequest
  private id: string | undefined
  private finishReason: string | undefined
  private usage: AnswerEvent["usage"]
  private isDone = false
  private error: AnswerEvent["error"]
  private fault: string | undefined
  private partial = ""

  constructor(request: WorldRequest) {
    this.request = request
  }

  /** Ends with the answer; rejects when its connection breaks. */
  async read(answering: Promise<Response> | Response): Promise<void> {
    const response = await answering
    this.status = response.status
    const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") === true
    if (!isStream) {
      const body = await response.text()
      if (body !== "") this.plain(JSON.parse(body) as AnswerEvent)
      return
    }
    const reader = response.body?.getReader()
    for (let piece = await reader?.read(); piece?.done === false; piece = await reader?.read()) {
      const events = (this.partial + Buffer.from(piece.value).toString()).split("\n\n")
      this.partial = events.pop() ?? ""
      for (const event of events) this.event(event)
    }
    if (this.partial !== "") this.fault ??= `half an event is left: ${this.partial}`
  }

  /** Why a whole answer is not the one of an undisturbed pod; undefined when it is. */
  faultOfWhole(): string | undefined {
    const { fault, finishReason, isDone, request, usage } = this
    const { features: { streams }, includesUsage, outputTokens } = request
    if (fault !== undefined) return fault
    if (this.error !== undefined) return `an error in the stream: ${this.error.message}`
    if (this.text !== textOf(request)) {
      return `it is ${JSON.stringify(this.text)} and not ${JSON.stringify(textOf(request))}`
    }
    if (finishReason !== finishReasonOf(request)) return `it finished for ${finishReason}`
    if (streams && !isDone) return "its end mark is missing"
    if (!streams || includesUsage) {
      const prompt = promptIds(request).length
      const isRight = usage?.completion_tokens === outputTokens && usage.prompt_tokens === prompt &&
        usage.total_tokens === prompt + outputTokens
      return isRight ? undefined : `it counts ${JSON.stringify(usage)} of ${prompt} and ${outputTokens} tokens`
    }
    return usage === undefined ? undefined : "counts that nobody asked for"
  }

  /** Why an answer that broke off did not do so in good order. */
  faultOfLost(): string | undefined {
    if (this.fault !== undefined) return this.fault
    if (!textOf(this.request).startsWith(this.text)) {
      return `it is not how the answer begins: ${JSON.stringify(this.text)}`
    }
    // vLLM's own word for a request that its engine gave up.
    if (this.finishReason === "abort") return undefined
    return this.error === undefined ? "a stream broke off without a word" : undefined
  }

  private plain(body: AnswerEvent): void {
    const [choice] = body.choices ?? []
    if (typeof body.error?.code === "string") this.code = body.error.code
    this.text = choice?.message?.content ?? choice?.text ?? ""
    this.finishReason = choice?.finish_reason ?? undefined
    this.usage = body.usage
  }

  private event(event: string): void {
    // A blank line more means nothing.
    if (event === "") return
    if (!event.startsWith("data: ")) return this.broken(`no event of data: ${event}`)
    const data = event.slice("data: ".length)
    if (this.isDone) return this.broken(`more after the end mark: ${data}`)
    if (data === "[DONE]") {
      this.isDone = true
      return
    }
    const said = JSON.parse(data) as AnswerEvent
    if (said.error !== undefined) {
      this.error = said.error
      return
    }
    if (this.error !== undefined) return this.broken("words after an error")
    this.id ??= said.id
    if (said.id !== this.id) this.broken(`the id changes to ${said.id}`)
    this.usage = said.usage ?? this.usage
    const [choice] = said.choices ?? []
    if (choice === undefined) return
    if (this.finishReason !== undefined) this.broken("words after the last")
    if (choice.token_ids !== null && choice.token_ids !== undefined) this.broken("token ids that nobody asked for")
    this.text += choice.delta?.content ?? choice.text ?? ""
    this.finishReason = choice.finish_reason ?? undefined
  }

  private broken(what: string): void {
    this.fault ??= what
  }
}
