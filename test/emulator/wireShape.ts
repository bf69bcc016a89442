/** Values that must be equal on the wire, not only of the same kind. */
const exactKeys = new Set(["object", "role", "type", "system_fingerprint", "model", "owned_by", "version", "status"])

/**
 * What is left of a JSON value when everything that model weights decide is masked:
 * keys in their order, kinds of values, and the values of `exactKeys`. Equal neighbours in a list count once.
 */
export const shapeOf = (value: unknown, key = ""): unknown => {
  if (value === null || typeof value === "boolean") return value
  if (Array.isArray(value)) {
    const shapes = value.map((item) => JSON.stringify(shapeOf(item)))
    return shapes.filter((shape, index) => shape !== shapes[index - 1]).map((shape) => JSON.parse(shape))
  }
  if (typeof value === "object") {
    const entries = Object.entries(value as Record<string, unknown>)
    return entries.map(([name, inner]) => [name, shapeOf(inner, name)])
  }
  return exactKeys.has(key) ? value : `<${typeof value}>`
}

/** Shapes of the events of a stream, with their names; equal neighbours count once. */
export const streamShape = (text: string): ReadonlyArray<unknown> => {
  if (!text.endsWith("\n\n")) throw new Error("a stream must end with a whole event")
  const shapes = text.split("\n\n").slice(0, -1).map((event) => {
    const lines = event.split("\n")
    const data = lines.at(-1)!.replace(/^data: /, "")
    return JSON.stringify([lines.slice(0, -1), data === "[DONE]" ? data : shapeOf(JSON.parse(data))])
  })
  return shapes.filter((shape, index) => shape !== shapes[index - 1]).map((shape) => JSON.parse(shape))
}
