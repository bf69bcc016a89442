import { type Fields, isFields } from "./bodyFields.ts"

const depthMax = 12

/** A small value that a JSON schema accepts, always the same one; `null` where the schema says too little. */
export const sampleOf = (schema: unknown, depth = 0): unknown => {
  if (!isFields(schema) || depth > depthMax) return null
  if ("const" in schema) return schema["const"]
  if ("default" in schema) return schema["default"]
  if (Array.isArray(schema["enum"])) return schema["enum"][0] ?? null
  for (const union of ["anyOf", "oneOf", "allOf"]) {
    const options = schema[union]
    if (Array.isArray(options) && options.length > 0) return sampleOf(options[0], depth + 1)
  }
  const type = Array.isArray(schema["type"]) ? schema["type"][0] : schema["type"]
  switch (type) {
    case "string":
      return "lorem ipsum"
    case "integer":
    case "number":
      return typeof schema["minimum"] === "number" ? schema["minimum"] : 1
    case "boolean":
      return true
    case "array":
      return [sampleOf(schema["items"], depth + 1)]
    case "object":
      return sampleObject(schema, depth)
    default:
      return isFields(schema["properties"]) ? sampleObject(schema, depth) : null
  }
}

const sampleObject = (schema: Fields, depth: number): Fields => {
  const properties = isFields(schema["properties"]) ? schema["properties"] : {}
  return Object.fromEntries(Object.entries(properties).map(([name, value]) => [name, sampleOf(value, depth + 1)]))
}
