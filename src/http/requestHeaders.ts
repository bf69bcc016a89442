/** Headers that end at a hop: RFC 9110 section 7.6.1. */
export const hopByHop: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade"
])

/** Names listed in a Connection header, lower case. */
export const connectionNames = (value: string | undefined): ReadonlyArray<string> => {
  if (value === undefined) return none
  const lower = value.toLowerCase()
  return lower === "keep-alive" || lower === "close" ? none : lower.split(",").map((name) => name.trim())
}

const none: ReadonlyArray<string> = []
const validTraceparent = /^[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}/

/** For a request whose client named none. */
export const newRequestId = (): string => crypto.randomUUID().replaceAll("-", "")

/** Header lines towards a pod, and the request's id, which is the client's own or a new one. */
export const podRequestHeaders = (
  headers: Headers,
  clientAddress: string | undefined
): { readonly lines: string; readonly requestId: string } => {
  const all = headers.toJSON() as unknown as Record<string, string>
  const named = connectionNames(all["connection"])
  let lines = ""
  for (const name in all) {
    switch (name) {
      // `expect` is answered by our own server; the client of ours sets host and length.
      case "host":
      case "content-length":
      case "expect":
      case "x-forwarded-for":
      case "x-request-id":
      case "traceparent":
        break
      default:
        if (!hopByHop.has(name) && !named.includes(name)) lines += `${name}: ${all[name]}\r\n`
    }
  }
  const forwarded = all["x-forwarded-for"]
  if (clientAddress !== undefined) {
    lines += `x-forwarded-for: ${forwarded === undefined ? "" : `${forwarded}, `}${clientAddress}\r\n`
  } else if (forwarded !== undefined) lines += `x-forwarded-for: ${forwarded}\r\n`
  const random = newRequestId()
  const requestId = all["x-request-id"] ?? random
  const given = all["traceparent"]
  // Sampled, as a pod's tracer would be when nobody asked; a client's own decision is kept.
  const traceparent = given !== undefined && validTraceparent.test(given)
    ? given
    : `00-${random}-${random.slice(8, 24)}-01`
  return { lines: `${lines}x-request-id: ${requestId}\r\ntraceparent: ${traceparent}\r\n`, requestId }
}
