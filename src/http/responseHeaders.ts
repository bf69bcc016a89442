import { connectionNames, hopByHop } from "./requestHeaders.ts"
import type { ResponseHead } from "./upstream/UpstreamRequest.ts"

/**
 * The pod's headers as our answer's, hop-by-hop ones left out. Bun writes well-known names in its own order and case,
 * joins repeated ones with a comma, except Set-Cookie, and frames a streamed body in chunks whatever its length.
 */
export const clientHeaders = (
  head: ResponseHead,
  requestId: string,
  podId: string | undefined,
  session?: readonly [name: string, token: string]
): Headers | Record<string, string> => {
  const { headers } = head
  const plain: Record<string, string> = {}
  const seen = new Set<string>()
  let repeated = false
  let named: ReadonlyArray<string> | undefined
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? ""
    const lower = name.toLowerCase()
    if (hopByHop.has(lower)) {
      if (lower === "connection") named = connectionNames(headers[i + 1])
      continue
    }
    // A length beside chunked framing is void, and a body without a length must not claim one.
    if (lower === "content-length" && head.bodyBytes < 0) continue
    if (seen.has(lower)) repeated = true
    seen.add(lower)
    plain[name] = asBunWrites(headers[i + 1] ?? "")
  }
  const result = repeated ? repeatedHeaders(head) : plain
  if (!seen.has("x-request-id")) set(result, "x-request-id", requestId)
  if (podId !== undefined) replace(result, seen, "x-warmroute-pod", podId)
  if (session !== undefined) replace(result, seen, ...session)
  if (named !== undefined && named.length > 0) return withoutNamed(result, named)
  return result
}

// oxlint-disable-next-line no-control-regex -- the range is that of ASCII
const beyondAscii = /[^\x00-\x7f]/
// oxlint-disable-next-line no-control-regex -- the range is that of Latin-1
const beyondLatin1 = /[^\x00-\xff]/

/** Bun writes header text as UTF-8, so UTF-8 bytes must be text again; what a ByteString can't hold stays as it is. */
const asBunWrites = (value: string): string => {
  if (!beyondAscii.test(value)) return value
  const text = Buffer.from(value, "latin1").toString()
  return beyondLatin1.test(text) ? value : text
}

const set = (headers: Headers | Record<string, string>, name: string, value: string): void => {
  if (headers instanceof Headers) headers.set(name, value)
  else headers[name] = value
}

/** In the place of what the pod sent under the name, however it spelt it. */
const replace = (
  headers: Headers | Record<string, string>,
  seen: ReadonlySet<string>,
  name: string,
  value: string
): void => {
  const lower = name.toLowerCase()
  if (seen.has(lower) && !(headers instanceof Headers)) {
    for (const known of Object.keys(headers)) if (known.toLowerCase() === lower) delete headers[known]
  }
  set(headers, name, value)
}

const repeatedHeaders = (head: ResponseHead): Headers => {
  const result = new Headers()
  for (let i = 0; i < head.headers.length; i += 2) {
    const name = head.headers[i] ?? ""
    const lower = name.toLowerCase()
    if (hopByHop.has(lower) || (lower === "content-length" && (head.bodyBytes < 0 || result.has(lower)))) continue
    result.append(name, asBunWrites(head.headers[i + 1] ?? ""))
  }
  return result
}

const withoutNamed = (headers: Headers | Record<string, string>, named: ReadonlyArray<string>): Headers => {
  const result = new Headers(headers)
  for (const name of named) if (name !== "" && name !== "close" && name !== "keep-alive") result.delete(name)
  return result
}
