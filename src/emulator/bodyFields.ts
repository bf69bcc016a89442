import { jsonFaultOf } from "./pythonJson.ts"
import { unsupportedMediaType, validationError, type ValidationIssue } from "./VllmError.ts"

export type Fields = Readonly<Record<string, unknown>>
type FieldKind = "integer" | "number" | "boolean" | "string" | "list" | "text or list"

export interface FieldRule {
  readonly name: string
  readonly kind: FieldKind
  readonly required?: boolean
}

export const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Reads a JSON body and checks it as FastAPI would. Throws VllmError with vLLM's words. */
export const readFields = async (request: Request, rules: ReadonlyArray<FieldRule>): Promise<Fields> => {
  const mediaType = request.headers.get("content-type")?.toLowerCase() ?? ""
  const text = await request.text()
  if (text === "") {
    throw validationError([{ type: "missing", location: "body", message: "Field required", input: "None" }])
  }
  if (!mediaType.startsWith("application/json")) throw unsupportedMediaType()
  const body = parseJson(text)
  if (!isFields(body)) {
    const message = "Input should be a valid dictionary or object to extract fields from"
    throw validationError([{ type: "model_attributes_type", location: "body", message, input: pythonInput(body) }])
  }
  const issues = rules.flatMap((rule) => issueOf(rule, body))
  if (issues.length > 0) throw validationError(issues)
  return body
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    const fault = jsonFaultOf(text)
    throw validationError([{
      type: "json_invalid",
      location: `body.${fault.position}`,
      message: "JSON decode error",
      input: "<dict of 0 items>",
      context: fault.message
    }])
  }
}

const issueOf = (rule: FieldRule, body: Fields): ReadonlyArray<ValidationIssue> => {
  const value = body[rule.name]
  const location = `body.${rule.name}`
  if (value === undefined) {
    if (rule.required !== true) return []
    return [{ type: "missing", location, message: "Field required", input: pythonInput(body) }]
  }
  if (value === null && rule.required !== true) return []
  const fault = faultOf(rule.kind, value)
  return fault === undefined ? [] : [{ type: fault[0], location, message: fault[1], input: pythonInput(value) }]
}

/** Pydantic's error type and message, or undefined when its lax mode takes the value. */
const faultOf = (kind: FieldKind, value: unknown): readonly [string, string] | undefined => {
  switch (kind) {
    case "integer":
      return integerFault(value)
    case "number":
      if (typeof value === "number" || typeof value === "boolean") return undefined
      if (typeof value !== "string") return ["float_type", "Input should be a valid number"]
      if (value.trim() !== "" && Number.isFinite(Number(value))) return undefined
      return ["float_parsing", "Input should be a valid number, unable to parse string as a number"]
    case "boolean":
      if (typeof value === "boolean" || value === 0 || value === 1) return undefined
      if (typeof value !== "string") return ["bool_type", "Input should be a valid boolean"]
      if (/^(true|false|yes|no|on|off|t|f|y|n|0|1)$/i.test(value)) return undefined
      return ["bool_parsing", "Input should be a valid boolean, unable to interpret input"]
    case "string":
      return typeof value === "string" ? undefined : ["string_type", "Input should be a valid string"]
    case "list":
      return Array.isArray(value) ? undefined : ["list_type", "Input should be a valid list"]
    case "text or list":
      return typeof value === "string" || Array.isArray(value)
        ? undefined
        : ["list_type", "Input should be a valid list"]
  }
}

const integerFault = (value: unknown): readonly [string, string] | undefined => {
  if (typeof value === "boolean" || Number.isInteger(value)) return undefined
  if (typeof value === "number") {
    return ["int_from_float", "Input should be a valid integer, got a number with a fractional part"]
  }
  if (typeof value !== "string") return ["int_type", "Input should be a valid integer"]
  if (/^\s*[+-]?\d+(\.0*)?\s*$/.test(value)) return undefined
  return ["int_parsing", "Input should be a valid integer, unable to parse string as an integer"]
}

const pythonInput = (value: unknown): string => {
  if (value === null || value === undefined) return "None"
  if (value === true) return "True"
  if (value === false) return "False"
  if (Array.isArray(value)) return `<list of ${value.length} items>`
  if (typeof value === "object") return `<dict of ${Object.keys(value).length} items>`
  return String(value)
}

/** The value as pydantic's lax mode reads it; undefined when absent or null. */
export const integerOf = (body: Fields, name: string): number | undefined => {
  const value = body[name]
  return value === undefined || value === null ? undefined : Math.trunc(Number(value))
}

export const numberOf = (body: Fields, name: string): number | undefined => {
  const value = body[name]
  return value === undefined || value === null ? undefined : Number(value)
}

export const booleanOf = (body: Fields, name: string): boolean => {
  const value = body[name]
  return typeof value === "string" ? /^(true|yes|on|t|y|1)$/i.test(value) : value === true || value === 1
}

export const stringOf = (body: Fields, name: string): string | undefined => {
  const value = body[name]
  return typeof value === "string" ? value : undefined
}

export const listOf = (body: Fields, name: string): ReadonlyArray<unknown> => {
  const value = body[name]
  return Array.isArray(value) ? value : []
}

/** As Python prints a float: never without a decimal point or exponent. */
export const pythonFloat = (value: number): string => Number.isInteger(value) ? `${value}.0` : String(value)
