/** An object on one line of a trace, with the line's number for messages. Throws TraceError, which the readers catch. */
export class JsonLine {
  readonly line: number
  private readonly fields: Readonly<Record<string, unknown>>

  constructor(line: number, fields: Readonly<Record<string, unknown>>) {
    this.line = line
    this.fields = fields
  }

  /** A number from `least` on. */
  number(name: string, least: number): number {
    const value = this.fields[name]
    if (typeof value === "number" && value >= least && Number.isFinite(value)) return value
    throw new TraceError(this.line, `"${name}" is ${shown(value)} but must be a number from ${least} on`)
  }

  /** As `number`, or `fallback` when the field is missing. */
  numberOr(name: string, least: number, fallback: number): number {
    return this.fields[name] === undefined ? fallback : this.number(name, least)
  }

  /** As `number`, or undefined when the field is missing or null. */
  optional(name: string, least: number): number | undefined {
    return this.fields[name] === undefined || this.fields[name] === null ? undefined : this.number(name, least)
  }

  text(name: string): string {
    const value = this.fields[name]
    if (typeof value === "string") return value
    throw new TraceError(this.line, `"${name}" is ${shown(value)} but must be a text`)
  }

  /** Block ids, whole numbers from 0 to 2^32 - 1. */
  ids(name: string): Uint32Array {
    const value = this.fields[name]
    if (!Array.isArray(value)) throw new TraceError(this.line, `"${name}" is ${shown(value)} but must be a list of ids`)
    const ids = new Uint32Array(value.length)
    for (let i = 0; i < ids.length; i++) {
      const id: unknown = value[i]
      if (typeof id !== "number" || id !== id >>> 0) {
        throw new TraceError(this.line, `"${name}" has ${shown(id)} where a block id from 0 to 4294967295 belongs`)
      }
      ids[i] = id
    }
    return ids
  }

  list(name: string): ReadonlyArray<JsonLine> {
    const value = this.fields[name]
    if (!Array.isArray(value)) throw new TraceError(this.line, `"${name}" is ${shown(value)} but must be a list`)
    return value.map((each: unknown) => new JsonLine(this.line, recordOf(each, this.line)))
  }

  has(name: string): boolean {
    return this.fields[name] !== undefined
  }
}

/** A line of a trace that does not have the form it should. */
export class TraceError extends Error {
  constructor(line: number, reason: string) {
    super(`line ${line}: ${reason}`)
  }
}

/** One JSON object a line; empty lines are passed over. */
export const jsonLines = function*(text: string): Generator<JsonLine> {
  let line = 0
  for (let start = 0; start < text.length;) {
    const found = text.indexOf("\n", start)
    const end = found < 0 ? text.length : found
    line++
    const content = text.slice(start, end).trim()
    start = end + 1
    if (content !== "") yield new JsonLine(line, recordOf(parsed(content, line), line))
  }
}

const parsed = (content: string, line: number): unknown => {
  try {
    return JSON.parse(content)
  } catch (cause) {
    throw new TraceError(line, `not JSON (${cause instanceof Error ? cause.message : String(cause)})`)
  }
}

const recordOf = (value: unknown, line: number): Readonly<Record<string, unknown>> => {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new TraceError(line, `${shown(value)} stands where an object belongs`)
}

const shown = (value: unknown): string =>
  value === undefined ? "missing" : JSON.stringify(value)?.slice(0, 60) ?? "missing"
