import { Schema } from "effect"
import type { RequestFeatures } from "../core/RequestFeatures.ts"

/** Where clients name their session. */
export const SessionSource = Schema.Struct({
  /** Header with the session's name. One of this and cookie. */
  header: Schema.optional(Schema.NonEmptyString),
  /** Cookie with the session's name. */
  cookie: Schema.optional(Schema.NonEmptyString)
}).pipe(
  Schema.filter(({ cookie, header }) =>
    (cookie === undefined) !== (header === undefined) || "must have one of header and cookie"
  )
)
export type SessionSource = typeof SessionSource.Type

/** Names come from clients. */
const NAME_CHARS_MAX = 256

/** With the headers' names as requests are asked for them. */
export const readySources = (sources: ReadonlyArray<SessionSource>): ReadonlyArray<SessionSource> =>
  sources.map(({ cookie, header }) => ({ cookie, header: header?.trim().toLowerCase() }))

/** The session's name at the first of the ready sources that has one, at most 256 characters of it; empty: none has. */
export const sessionOf = (headers: RequestFeatures["headers"], sources: ReadonlyArray<SessionSource>): string => {
  if (headers === undefined) return ""
  for (const { cookie, header } of sources) {
    const found = header === undefined ? cookieOf(headers.get("cookie") ?? "", cookie ?? "") : headers.get(header) ?? ""
    const session = found.trim()
    if (session !== "") return session.slice(0, NAME_CHARS_MAX)
  }
  return ""
}

const cookieOf = (cookies: string, name: string): string => {
  for (const pair of cookies.split(";")) {
    const at = pair.indexOf("=")
    if (at >= 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1)
  }
  return ""
}
