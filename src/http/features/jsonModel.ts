/**
 * A copy of a JSON object's bytes with the value of its top-level "model" replaced and every other byte as it was.
 * `bytes` is valid JSON (it has been parsed); a repeated key is replaced each time. Without the key: the bytes as given.
 */
export const withModel = (bytes: Uint8Array, model: string): Uint8Array => {
  const value = encoder.encode(JSON.stringify(model))
  const parts: Array<Uint8Array> = []
  let copied = 0
  for (const span of modelSpans(bytes)) {
    parts.push(bytes.subarray(copied, span.start), value)
    copied = span.end
  }
  return copied === 0 ? bytes : Buffer.concat([...parts, bytes.subarray(copied)])
}

interface Span {
  readonly start: number
  readonly end: number
}

const quote = 0x22
const backslash = 0x5c
const colon = 0x3a
const encoder = new TextEncoder()
const decoder = new TextDecoder()

const modelSpans = (bytes: Uint8Array): Array<Span> => {
  const spans: Array<Span> = []
  let depth = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === 0x7b || byte === 0x5b) depth++
    else if (byte === 0x7d || byte === 0x5d) depth--
    else if (byte === quote) {
      const end = stringEnd(bytes, at)
      const after = skipBlanks(bytes, end)
      if (depth === 1 && bytes[after] === colon && isModel(bytes, at, end)) {
        const start = skipBlanks(bytes, after + 1)
        // Any other type than a string is left to the pod's own complaint.
        if (bytes[start] === quote) spans.push({ start, end: stringEnd(bytes, start) })
      }
      at = end - 1
    }
  }
  return spans
}

/** Index behind the closing quote of the string that opens at `at`. */
const stringEnd = (bytes: Uint8Array, at: number): number => {
  let end = at
  for (;;) {
    end = bytes.indexOf(quote, end + 1)
    if (end < 0) return bytes.length
    let slashes = 0
    while (bytes[end - 1 - slashes] === backslash) slashes++
    if (slashes % 2 === 0) return end + 1
  }
}

/** The key may be spelt with escapes. */
const isModel = (bytes: Uint8Array, start: number, end: number): boolean => {
  const text = decoder.decode(bytes.subarray(start, end))
  return text === "\"model\"" || (text.includes("\\") && JSON.parse(text) === "model")
}

const skipBlanks = (bytes: Uint8Array, from: number): number => {
  let at = from
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at++
  return at
}
