/** Where a small text field of a form lies in the body. */
export interface FormField {
  readonly value: string
  readonly start: number
  readonly end: number
}

/** A form of more parts than this is not looked into further. */
const partsMax = 64
const partHeadBytesMax = 8_192
const valueBytesMax = 4_096

/** The boundary in a `multipart/form-data` content type; undefined for any other type. */
export const boundaryOf = (contentType: string): string | undefined => {
  const found = /^multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType)
  return found?.[1] ?? found?.[2]
}

/**
 * The named fields of a form, found in place: files are stepped over, never copied. RFC 7578.
 * Text when the bytes are not such a form.
 */
export const formFields = (
  bytes: Uint8Array,
  boundary: string,
  names: ReadonlyArray<string>
): ReadonlyMap<string, FormField> | string => {
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const fields = new Map<string, FormField>()
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  const opening = delimiter.subarray(2)
  let at = body.subarray(0, opening.length).equals(opening) ? 0 : body.indexOf(delimiter) + 2
  if (at === 1) return "the multipart body does not contain its boundary"
  for (let part = 0; part < partsMax; part++) {
    const headStart = at + opening.length
    if (body.subarray(headStart, headStart + 2).toString() === "--") return fields
    const headEnd = body.indexOf("\r\n\r\n", headStart)
    if (headEnd < 0 || headEnd - headStart > partHeadBytesMax) {
      return "a part of the multipart body has no end of its headers"
    }
    const start = headEnd + 4
    // Searched from the blank line on, for a part may be empty.
    const end = body.indexOf(delimiter, headEnd + 2)
    if (end < 0) return "the multipart body ends without its closing boundary"
    const name = partName(body.toString("utf8", headStart, headEnd))
    const valueEnd = Math.max(start, end)
    if (name !== undefined && names.includes(name) && valueEnd - start <= valueBytesMax) {
      fields.set(name, { value: body.toString("utf8", start, valueEnd), start, end: valueEnd })
    }
    at = end + 2
  }
  return fields
}

/** A copy of the body with one field's value replaced. */
export const withField = (bytes: Uint8Array, field: FormField, value: string): Uint8Array =>
  Buffer.concat([bytes.subarray(0, field.start), Buffer.from(value), bytes.subarray(field.end)])

const partName = (head: string): string | undefined => {
  const line = /^content-disposition:\s*form-data\s*;(.*)$/im.exec(head)?.[1]
  if (line === undefined) return undefined
  const found = /(?:^|;)\s*name=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/i.exec(line)
  return found?.[1] ?? found?.[2]
}
