/** Ids of the tokens that stand for no text. */
export const specialTokens = { begin: 0, startHeader: 2, endHeader: 3, endOfTurn: 4, tools: 5 } as const

const specialTexts = ["<|begin|>", "<|end|>", "<|start_header|>", "<|end_header|>", "<|eot|>", "<|tools|>"]
const charsMax = 4
const bytesMax = 3
/** First id of the pieces of 1, 2, 3, 4 ASCII characters: 16, then one for each text of the length before. */
const asciiStart = [0, 16, 16 + 128, 16 + 128 + 128 ** 2, 16 + 128 + 128 ** 2 + 128 ** 3]
const bytesBase = asciiStart[4]! + 128 ** 4
const bytesStart = [0, bytesBase, bytesBase + 256, bytesBase + 256 + 256 ** 2]
const idLimit = bytesStart[3]! + 256 ** 3

/**
 * A tokenizer without a vocabulary: four ASCII characters a token, three bytes a token of anything else, the piece
 * itself written into the id (below 2^29). Text survives encoding and decoding; lone surrogates become U+FFFD.
 */
export class Tokenizer {
  private readonly encoder = new TextEncoder()
  private readonly decoder = new TextDecoder()

  /** Appends the tokens of `text`; pieces start anew at each call, so equal parts give equal tokens anywhere. */
  encode(text: string, into: Array<number> = []): Array<number> {
    let index = 0
    while (index < text.length) {
      let value = 0
      let length = 0
      while (length < charsMax && index < text.length) {
        const code = text.charCodeAt(index)
        if (code > 127) break
        value = value * 128 + code
        length++
        index++
      }
      if (length > 0) {
        into.push(asciiStart[length]! + value)
        continue
      }
      let end = index + 1
      while (end < text.length && text.charCodeAt(end) > 127) end++
      this.encodeBytes(this.encoder.encode(text.slice(index, end)), into)
      index = end
    }
    return into
  }

  /** Text of the tokens; special and impossible ids say nothing. */
  decode(tokens: ReadonlyArray<number>): string {
    let text = ""
    let bytes: Array<number> = []
    for (const token of tokens) {
      if (token >= bytesBase && token < idLimit) {
        bytes.push(...pieceBytes(token))
        continue
      }
      if (bytes.length > 0) {
        text += this.decoder.decode(Uint8Array.from(bytes))
        bytes = []
      }
      if (token >= asciiStart[1]! && token < bytesBase) text += asciiText(token)
    }
    return bytes.length === 0 ? text : text + this.decoder.decode(Uint8Array.from(bytes))
  }

  /** One token as vLLM's `token_strs` spells it, a space as "Ġ". */
  tokenText(token: number): string {
    return specialTexts[token] ?? this.decode([token]).replaceAll(" ", "Ġ")
  }

  private encodeBytes(bytes: Uint8Array, into: Array<number>): void {
    for (let index = 0; index < bytes.length; index += bytesMax) {
      const length = Math.min(bytesMax, bytes.length - index)
      let value = 0
      for (let offset = 0; offset < length; offset++) value = value * 256 + bytes[index + offset]!
      into.push(bytesStart[length]! + value)
    }
  }
}

const pieceLength = (starts: ReadonlyArray<number>, token: number): number => {
  let length = starts.length - 1
  while (token < starts[length]!) length--
  return length
}

const asciiText = (token: number): string => {
  const length = pieceLength(asciiStart, token)
  let value = token - asciiStart[length]!
  let text = ""
  for (let index = 0; index < length; index++) {
    text = String.fromCharCode(value % 128) + text
    value = Math.floor(value / 128)
  }
  return text
}

const pieceBytes = (token: number): Array<number> => {
  const length = pieceLength(bytesStart, token)
  const value = token - bytesStart[length]!
  return Array.from({ length }, (_, index) => Math.floor(value / 256 ** (length - 1 - index)) % 256)
}
