/** What JSON or YAML calls an object; its fields are ours to check. */
export type Fields = Readonly<Record<string, unknown>>

/** The value when it is an object, else undefined. */
export const fieldsOf = (value: unknown): Fields | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value as Fields : undefined

/** A text that is not empty, else undefined. */
export const textOf = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined

/** An integer in the range, else undefined. */
export const integerOf = (value: unknown, least: number, most: number): number | undefined =>
  typeof value === "number" && Number.isInteger(value) && value >= least && value <= most ? value : undefined

/** The list, an empty one for none; undefined when it is something else. */
export const listOf = (value: unknown): ReadonlyArray<unknown> | undefined =>
  value === undefined || value === null ? [] : Array.isArray(value) ? value : undefined

/** A map of names to text, an empty one for none; undefined when it is something else. */
export const textsOf = (value: unknown): Readonly<Record<string, string>> | undefined => {
  if (value === undefined || value === null) return {}
  const fields = fieldsOf(value)
  return fields !== undefined && Object.values(fields).every((each) => typeof each === "string")
    ? fields as Readonly<Record<string, string>>
    : undefined
}
