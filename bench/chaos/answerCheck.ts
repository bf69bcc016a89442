/** ok: whole and right. clean: an error that a client can read. unclean: anything else. */
export interface Verdict {
  readonly outcome: "ok" | "clean" | "unclean"
  readonly reason: string
}

/** What a request must be answered with. */
export interface Expected {
  readonly text: string
  readonly outputTokens: number
}

export interface Answered {
  readonly status: number
  /** Why it is no whole HTTP answer. */
  readonly fault: string | undefined
  readonly contentType: string
}

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const parse = (text: string): Fields | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return isFields(value) ? value : undefined
  } catch {
    return undefined
  }
}

const unclean = (reason: string): Verdict => ({ outcome: "unclean", reason })

/** A refusal is clean when it is a whole HTTP answer; that it is not JSON is only said. */
const refusal = (status: number, body: string): Verdict => {
  const parsed = parse(body)
  const kind = parsed === undefined ? "not JSON" : codeOf(parsed)
  return { outcome: "clean", reason: `status ${status}${kind === "" ? "" : `, ${kind}`}` }
}

const codeOf = (body: Fields): string => {
  const error = isFields(body["error"]) ? body["error"] : body
  const code = error["code"] ?? error["type"]
  return typeof code === "string" ? code : ""
}

const choiceOf = (body: Fields): Fields | undefined => {
  const choices = body["choices"]
  const first: unknown = Array.isArray(choices) ? choices[0] : undefined
  return isFields(first) ? first : undefined
}

const textOf = (choice: Fields): unknown => {
  const inner = choice["delta"] ?? choice["message"]
  return isFields(inner) ? inner["content"] : choice["text"]
}

/** Of a request that did not stream. */
export const checkJson = (answered: Answered, body: string, expected: Expected): Verdict => {
  if (answered.fault !== undefined) return unclean(answered.fault)
  if (answered.status !== 200) return answered.status >= 400 ? refusal(answered.status, body) : unclean("odd status")
  const parsed = parse(body)
  const choice = parsed === undefined ? undefined : choiceOf(parsed)
  if (choice === undefined) return unclean("200 without an answer")
  if (textOf(choice) !== expected.text) return unclean("wrong text")
  return choice["finish_reason"] === "length" ? { outcome: "ok", reason: "" } : unclean("no finish_reason")
}

/** Reads the events of one stream as they come. */
export class StreamCheck {
  /** Events with an answer's tokens so far. */
  tokenEvents = 0
  /** Events so far but for `[DONE]`. */
  events = 0
  #rest = ""
  #text = ""
  #id: unknown
  #finish: unknown
  #isDone = false
  #error: string | undefined
  #wrong: string | undefined
  #outputTokens: unknown
  readonly #decoder = new TextDecoder("utf-8", { fatal: true })

  push(piece: Uint8Array): void {
    let text: string
    try {
      text = this.#decoder.decode(piece, { stream: true })
    } catch {
      this.#wrong ??= "not UTF-8"
      return
    }
    const events = (this.#rest + text.replaceAll("\r", "")).split("\n\n")
    this.#rest = events.pop() ?? ""
    for (const event of events) if (event.trim() !== "") this.#event(event)
  }

  verdict(answered: Answered, expected: Expected): Verdict {
    if (answered.fault !== undefined) {
      // What was wrong before the connection broke stays wrong, whoever broke it.
      const isWrongText = answered.status === 200 && !expected.text.startsWith(this.#text)
      return unclean(this.#wrong ?? (isWrongText ? "wrong text" : answered.fault))
    }
    if (answered.status !== 200) {
      return answered.status >= 400 ? refusal(answered.status, this.#rest) : unclean("odd status")
    }
    if (!answered.contentType.startsWith("text/event-stream")) return unclean("200 that is no stream")
    if (this.#wrong !== undefined) return unclean(this.#wrong)
    if (this.#rest !== "") return unclean("stream cut inside an event")
    if (!expected.text.startsWith(this.#text)) return unclean("wrong text")
    if (this.#error !== undefined) return { outcome: "clean", reason: `error event, ${this.#error}` }
    if (!this.#isDone) return unclean("stream without its end")
    if (this.#text !== expected.text) return unclean("text is missing")
    if (this.#finish !== "length") return unclean("no finish_reason")
    return this.#outputTokens === expected.outputTokens ? { outcome: "ok", reason: "" } : unclean("wrong usage")
  }

  #event(event: string): void {
    for (const line of event.split("\n")) {
      if (line.startsWith("data:")) this.#data(line.slice(5).trim())
      else if (!line.startsWith(":") && !line.startsWith("event:") && line !== "") this.#wrong ??= "not an event stream"
    }
  }

  #data(data: string): void {
    if (this.#isDone) this.#wrong ??= "events behind [DONE]"
    if (data === "[DONE]") {
      this.#isDone = true
      return
    }
    this.events++
    const parsed = parse(data)
    if (parsed === undefined) {
      this.#wrong ??= "an event that is not JSON"
      return
    }
    if (parsed["error"] !== undefined) {
      this.#error ??= codeOf(parsed)
      return
    }
    this.#id ??= parsed["id"]
    if (parsed["id"] !== this.#id) this.#wrong ??= "the id changed inside the stream"
    const { usage } = parsed
    if (isFields(usage)) this.#outputTokens = usage["completion_tokens"]
    const choice = choiceOf(parsed)
    if (choice === undefined) return
    const text = textOf(choice)
    if (typeof text === "string") this.#text += text
    this.tokenEvents++
    this.#finish = choice["finish_reason"] ?? this.#finish
  }
}
