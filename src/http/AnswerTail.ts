/** Token counts that a pod reported at the end of its answer. */
export interface Usage {
  readonly promptTokens: number | undefined
  readonly cachedTokens: number | undefined
  readonly outputTokens: number | undefined
}

/** Pieces remembered: usage is in the last event or the one before, and an event may come in two pieces. */
const piecesKept = 4
/** How much of the end is searched. */
const tailBytesMax = 16 * 1024

const usageStart = "\"usage\":{"
const promptPattern = /"(?:prompt_tokens|input_tokens)":(\d{1,12})/
const cachedPattern = /"cached_tokens":(\d{1,12})/
/** Anthropic's `input_tokens` counts neither of these two; OpenAI's prompt count has the cached ones in it. */
const cacheReadPattern = /"cache_read_input_tokens":(\d{1,12})/
const cacheWrittenPattern = /"cache_creation_input_tokens":(\d{1,12})/
const outputPattern = /"(?:completion_tokens|output_tokens)":(\d{1,12})/
/** A usage object with all its details is shorter than this. */
const usageChars = 2_048

/** The last pieces of an answer, by reference; looked at once, when the answer has ended. */
export class AnswerTail {
  pieces = 0
  private readonly ring: Array<Uint8Array> = []

  add(piece: Uint8Array): void {
    this.ring[this.pieces++ % piecesKept] = piece
  }

  /** The last event is all there: the answer so far ends with its blank line. */
  get endsEvent(): boolean {
    const last = this.ring[(this.pieces - 1) % piecesKept]
    return last === undefined || /(?:\n\n|\r\n\r\n)$/.test(latin1Tail(last))
  }

  /** What the answer's last usage object says; undefined when there is none near the end. */
  usage(): Usage | undefined {
    let text = ""
    for (let i = 1; i <= Math.min(piecesKept, this.pieces) && text.length < tailBytesMax; i++) {
      const piece = this.ring[(this.pieces - i) % piecesKept]
      if (piece !== undefined) text = latin1Tail(piece) + text
      // Inside a JSON string the quotes would be escaped, so content can't look like this.
      const at = text.lastIndexOf(usageStart)
      if (at >= 0) return readUsage(text.slice(at, at + usageChars))
    }
    return undefined
  }
}

const latin1Tail = (piece: Uint8Array): string => {
  const length = Math.min(piece.byteLength, tailBytesMax)
  return Buffer.from(piece.buffer, piece.byteOffset + piece.byteLength - length, length).toString("latin1")
}

const readUsage = (text: string): Usage => {
  const read = numberIn(cacheReadPattern, text)
  const written = numberIn(cacheWrittenPattern, text)
  const prompt = numberIn(promptPattern, text)
  return {
    promptTokens: prompt === undefined ? undefined : prompt + (read ?? 0) + (written ?? 0),
    cachedTokens: read ?? numberIn(cachedPattern, text),
    outputTokens: numberIn(outputPattern, text)
  }
}

const numberIn = (pattern: RegExp, text: string): number | undefined => {
  const found = pattern.exec(text)?.[1]
  return found === undefined ? undefined : Number(found)
}
