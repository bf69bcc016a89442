/** One line of a metrics page. */
export interface Sample {
  readonly name: string
  readonly labels: ReadonlyMap<string, string>
  /** Finite; lines with NaN or an infinity are passed over. */
  readonly value: number
}

export interface ExpositionLimits {
  /** A longer line is passed over. */
  readonly lineCharsMax: number
  /** Reading stops after so many wanted samples. */
  readonly samplesMax: number
}

const newline = 10
const space = 32
const tab = 9
const quote = 34
const hash = 35
const comma = 44
const equals = 61
const backslash = 92
const openBrace = 123
const closeBrace = 125

const isBlank = (code: number): boolean => code === space || code === tab

const skipBlanks = (text: string, from: number, end: number): number => {
  let at = from
  while (at < end && isBlank(text.charCodeAt(at))) at++
  return at
}

/** A decimal number as the format writes it, or NaN; `Number` alone would take "" and "0x10". */
const decimal = (text: string): number => /^[+-]?[0-9.]+([eE][+-]?[0-9]+)?$/.test(text) ? Number(text) : Number.NaN

const unescape = (text: string): string =>
  text.includes("\\") ? text.replace(/\\(.)/g, (_, escaped: string) => escaped === "n" ? "\n" : escaped) : text

/** Index of the quote that closes the value which begins at `from`, or -1. */
const closingQuote = (text: string, from: number, end: number): number => {
  for (let at = from; at < end; at++) {
    const code = text.charCodeAt(at)
    if (code === backslash) at++
    else if (code === quote) return at
  }
  return -1
}

/** Reads `a="1",b="2"}` into `labels`; returns the index after the brace, or -1 when it is malformed. */
const readLabels = (text: string, from: number, end: number, labels: Map<string, string>): number => {
  let at = skipBlanks(text, from, end)
  while (at < end && text.charCodeAt(at) !== closeBrace) {
    let nameEnd = at
    while (nameEnd < end && text.charCodeAt(nameEnd) !== equals) nameEnd++
    const open = skipBlanks(text, nameEnd + 1, end)
    if (open >= end || text.charCodeAt(open) !== quote) return -1
    const close = closingQuote(text, open + 1, end)
    if (close === -1) return -1
    labels.set(text.slice(at, nameEnd).trim(), unescape(text.slice(open + 1, close)))
    at = skipBlanks(text, close + 1, end)
    if (at < end && text.charCodeAt(at) === comma) at = skipBlanks(text, at + 1, end)
    else if (at >= end || text.charCodeAt(at) !== closeBrace) return -1
  }
  return at < end ? at + 1 : -1
}

const readSample = (text: string, name: string, nameEnd: number, end: number): Sample | undefined => {
  const labels = new Map<string, string>()
  let at = skipBlanks(text, nameEnd, end)
  if (text.charCodeAt(at) === openBrace) at = readLabels(text, at + 1, end, labels)
  if (at === -1) return undefined
  const valueStart = skipBlanks(text, at, end)
  let valueEnd = valueStart
  while (valueEnd < end && text.charCodeAt(valueEnd) > space) valueEnd++
  const value = decimal(text.slice(valueStart, valueEnd))
  return Number.isFinite(value) ? { name, labels, value } : undefined
}

/** Index after the metric name that begins at `from`. */
const endOfName = (text: string, from: number, end: number): number => {
  let at = from
  while (at < end && text.charCodeAt(at) !== openBrace && text.charCodeAt(at) > space) at++
  return at
}

/**
 * Calls `visit` for each sample of the wanted names in a page of the Prometheus text format, in order.
 * One pass, never throws; a line that can't be read is passed over, and the last one needs no newline.
 */
export const forEachSample = (
  text: string,
  wanted: ReadonlySet<string>,
  limits: ExpositionLimits,
  visit: (sample: Sample) => void
): void => {
  // Most lines are of other families, and their length alone says so.
  const nameLengths = new Set([...wanted].map((name) => name.length))
  let left = limits.samplesMax
  let start = 0
  while (start < text.length && left > 0) {
    const found = text.indexOf("\n", start)
    const end = found === -1 ? text.length : found
    const first = text.charCodeAt(start)
    if (first !== hash && first !== newline && end - start <= limits.lineCharsMax) {
      const nameStart = skipBlanks(text, start, end)
      const nameEnd = endOfName(text, nameStart, end)
      const name = nameLengths.has(nameEnd - nameStart) ? text.slice(nameStart, nameEnd) : ""
      if (wanted.has(name)) {
        left--
        const sample = readSample(text, name, nameEnd, end)
        if (sample !== undefined) visit(sample)
      }
    }
    start = end + 1
  }
}
