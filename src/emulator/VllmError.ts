/** An answer that is not 200, worded as vLLM 0.32 words it. */
export class VllmError extends Error {
  readonly status: number
  readonly type: string
  readonly param: string | null

  constructor(status: number, type: string, message: string, param: string | null = null) {
    super(message)
    this.status = status
    this.type = type
    this.param = param
  }

  /** `{"error":{…}}` */
  toJson(): string {
    return JSON.stringify({
      error: { message: this.message, type: this.type, param: this.param, code: this.status }
    })
  }
}

export const badRequest = (message: string, param: string | null = null): VllmError =>
  new VllmError(400, "BadRequestError", message, param)

/** A value out of range; vLLM repeats parameter and value at the end. */
export const badParameter = (message: string, param: string, value: string): VllmError =>
  badRequest(`${message} (parameter=${param}, value=${value})`, param)

/** One finding of pydantic. `input` is what Python's `str` makes of the value. */
export interface ValidationIssue {
  readonly type: string
  readonly location: string
  readonly message: string
  readonly input: string
  readonly context?: string
}

/** What FastAPI says when the body does not have the schema. */
export const validationError = (issues: ReadonlyArray<ValidationIssue>): VllmError => {
  const lines = issues.map((issue) => {
    const context = issue.context === undefined ? "" : `, 'ctx': {'error': ${pythonRepr(issue.context)}}`
    return `\n  {'type': '${issue.type}', 'loc': '${issue.location}', 'msg': ${pythonRepr(issue.message)}, ` +
      `'input': ${pythonRepr(issue.input)}${context}}`
  })
  const count = issues.length === 1 ? "1 validation error" : `${issues.length} validation errors`
  return new VllmError(400, "Bad Request", `${count}:${lines.join("")}`, issues[0]?.location ?? null)
}

/** A string as Python prints it inside a container. */
const pythonRepr = (text: string): string => {
  const escaped = text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r").replaceAll("\t", "\\t")
  if (!escaped.includes("'")) return `'${escaped}'`
  return escaped.includes("\"") ? `'${escaped.replaceAll("'", "\\'")}'` : `"${escaped}"`
}

export const unsupportedMediaType = (): VllmError =>
  new VllmError(
    400,
    "Bad Request",
    "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed"
  )

export const modelNotFound = (model: string, base: string): VllmError =>
  new VllmError(404, "NotFoundError", `The model \`${model}\` does not exist. Valid aliases: ${base}.`, "model")

export const queueFull = (): VllmError =>
  new VllmError(
    503,
    "Service Unavailable",
    "The engine is currently busy and cannot accept new requests. Please try again later or on a different instance."
  )
