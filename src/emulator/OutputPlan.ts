import { specialTokens, type Tokenizer } from "./Tokenizer.ts"

export type FinishReason = "stop" | "length" | "tool_calls"

/**
 * All that one answer will say, fixed before the engine runs it: the pieces, their token ids and why it ends.
 * `piece(i)` is what the i-th output token adds to the text; the token that ends an answer adds nothing.
 */
export class OutputPlan {
  readonly tokens: ReadonlyArray<number>
  readonly finishReason: FinishReason
  /** The stop string that ended the answer. */
  readonly stopReason: string | null
  private readonly pieces: ReadonlyArray<string>

  constructor(
    tokens: ReadonlyArray<number>,
    pieces: ReadonlyArray<string>,
    finishReason: FinishReason,
    stopReason: string | null = null
  ) {
    this.tokens = tokens
    this.pieces = pieces
    this.finishReason = finishReason
    this.stopReason = stopReason
  }

  get tokenCount(): number {
    return this.tokens.length
  }

  piece(index: number): string {
    return this.pieces[index] ?? ""
  }

  /** Text that the output tokens `from` up to `to` add. */
  text(from = 0, to = this.pieces.length): string {
    let text = ""
    for (let index = from; index < to; index++) text += this.piece(index)
    return text
  }
}

/** What a client may ask of an answer's length and end. */
export interface OutputLimits {
  readonly outputTokensMax: number
  readonly outputTokensMin: number
  readonly ignoreEnd: boolean
  readonly stops: ReadonlyArray<string>
  readonly includeStop: boolean
}

/** A fixed text, such as the arguments of a tool call, that ends by itself unless the limit cuts it. */
export const planOfText = (
  tokenizer: Tokenizer,
  text: string,
  limits: OutputLimits,
  finishReason: FinishReason = "stop"
): OutputPlan => {
  const pieces = text.match(/.{1,4}/gsu) ?? []
  const tokens = pieces.map((piece) => tokenizer.encode(piece)[0]!)
  if (pieces.length >= limits.outputTokensMax) {
    return new OutputPlan(tokens.slice(0, limits.outputTokensMax), pieces.slice(0, limits.outputTokensMax), "length")
  }
  return new OutputPlan([...tokens, specialTokens.endOfTurn], pieces, finishReason)
}

/** A stretch of prose that would end after `naturalTokens`, cut by the client's limits and stop strings. */
export const planOfProse = (
  tokens: ReadonlyArray<number>,
  pieces: ReadonlyArray<string>,
  naturalTokens: number,
  limits: OutputLimits
): OutputPlan => {
  const natural = Math.max(naturalTokens, limits.outputTokensMin)
  const endsItself = !limits.ignoreEnd && natural < limits.outputTokensMax
  const length = endsItself ? natural : limits.outputTokensMax
  const stopped = limits.stops.length === 0 ? undefined : planOfStop(tokens, pieces.slice(0, length), limits)
  if (stopped !== undefined) return stopped
  const said = pieces.slice(0, length)
  return endsItself
    ? new OutputPlan([...tokens.slice(0, length), specialTokens.endOfTurn], said, "stop")
    : new OutputPlan(tokens.slice(0, length), said, "length")
}

/** The plan that the first stop string to be completed leaves over. */
const planOfStop = (
  tokens: ReadonlyArray<number>,
  pieces: ReadonlyArray<string>,
  limits: OutputLimits
): OutputPlan | undefined => {
  const text = pieces.join("")
  let end = Infinity
  let found = ""
  for (const stop of limits.stops) {
    const at = stop === "" ? -1 : text.indexOf(stop)
    if (at >= 0 && at + stop.length < end) {
      end = at + stop.length
      found = stop
    }
  }
  if (end === Infinity) return undefined
  const visibleChars = limits.includeStop ? end : end - found.length
  const said: Array<string> = []
  let chars = 0
  let count = 0
  while (chars < end) {
    const piece = pieces[count]!
    said.push(piece.slice(0, Math.max(0, visibleChars - chars)))
    chars += piece.length
    count++
  }
  return new OutputPlan(tokens.slice(0, count), said, "stop", found)
}
