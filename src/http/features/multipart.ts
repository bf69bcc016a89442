import type { FormField } from "./FormScanner.ts"

/** The boundary in a `multipart/form-data` content type; undefined for any other type. */
export const boundaryOf = (contentType: string): string | undefined => {
  const found = /^multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType)
  return found?.[1] ?? found?.[2]
}

/** A copy of the body with one field's value replaced. */
export const withField = (bytes: Uint8Array, field: FormField, value: string): Uint8Array =>
  Buffer.concat([bytes.subarray(0, field.start), Buffer.from(value), bytes.subarray(field.end)])
