import { HeadersTooLarge } from "../errors.ts"

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

/** Headers that tell a pod or its sidecar a rank, or a host to fetch from: vLLM's and llm-d's. */
const forPods = "prefiller|encoder|data-parallel|kv-cache"

/**
 * Headers by which gateways and pods talk among themselves, so that a client's would choose a pod, a rank, or a host
 * that a pod fetches from: ours, llm-d's and its sidecar's, the gateway API's, vLLM's.
 */
const internal = new RegExp(`^x-(?:warmroute|gateway|llm-d|envoy|${forPods})-`)

/** Of those, what pods heed. The others may be for proxies on the way. Names are in lower case. */
export const isForPods = (name: string): boolean => leadsPods.test(name)
const leadsPods = new RegExp(`^x-(?:${forPods})-`)

/** What a request may carry, and whether its own credentials are for the pods. */
export interface HeaderRules {
  /** Names; a repeated one counts once, as Bun joins its values. */
  readonly headersMax: number
  /** Of all names and values. */
  readonly headerBytesMax: number
  /** False: `authorization` and `x-api-key` were for the gateway, or the pods get a token of its own. */
  readonly forwardCredentials: boolean
}

/** Names listed in a Connection header, lower case; what is no name is left out. */
export const connectionNames = (value: string | undefined): ReadonlyArray<string> => {
  if (value === undefined) return none
  const lower = value.toLowerCase()
  return lower === "keep-alive" || lower === "close"
    ? none
    : lower.split(",").map((name) => name.trim()).filter((name) => isName.test(name))
}

/** Of a header: what a `Headers` takes, which throws at others. */
const isName = /^[\w!#$%&'*+.^`|~-]+$/

const none: ReadonlyArray<string> = []
const validTraceparent = /^[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}/

/** For a request whose client named none. */
export const newRequestId = (): string => crypto.randomUUID().replaceAll("-", "")

type HeaderLimits = Pick<HeaderRules, "headersMax" | "headerBytesMax">

const checkHeaderSize = (count: number, bytes: number, { headerBytesMax, headersMax }: HeaderLimits): void => {
  if (count > headersMax) {
    throw new HeadersTooLarge({ message: `the request has ${count} headers; this gateway takes ${headersMax}` })
  }
  if (bytes > headerBytesMax) {
    const message = `the request's headers are larger than ${headerBytesMax} bytes, the limit of this gateway`
    throw new HeadersTooLarge({ message })
  }
}

/** Of a request that goes to no pod. Throws HeadersTooLarge. */
export const checkHeaders = (headers: Headers, limits: HeaderLimits): void => {
  let count = 0
  let bytes = 0
  for (const [name, value] of headers) {
    count++
    bytes += name.length + value.length
  }
  checkHeaderSize(count, bytes, limits)
}

/** Header lines towards a pod, and the request's id, which is the client's own or a new one. Throws HeadersTooLarge. */
export const podRequestHeaders = (
  headers: Headers,
  clientAddress: string | undefined,
  rules: HeaderRules
): { readonly lines: string; readonly requestId: string } => {
  const all = headers.toJSON() as unknown as Record<string, string>
  const named = connectionNames(all["connection"])
  // Not a string that grows: that would keep all its parts, for as long as a stream is open.
  const lines: Array<string> = []
  let count = 0
  let bytes = 0
  for (const name in all) {
    count++
    bytes += name.length + (all[name]?.length ?? 0)
    switch (name) {
      // `expect` is answered by our own server; the client of ours sets host and length.
      case "host":
      case "content-length":
      case "expect":
      case "x-forwarded-for":
      case "x-request-id":
      case "traceparent":
        break
      case "authorization":
      case "x-api-key":
        if (rules.forwardCredentials) lines.push(`${name}: ${all[name]}\r\n`)
        break
      default:
        if (!hopByHop.has(name) && !named.includes(name) && !internal.test(name)) {
          lines.push(`${name}: ${all[name]}\r\n`)
        }
    }
  }
  checkHeaderSize(count, bytes, rules)
  const forwarded = all["x-forwarded-for"]
  if (clientAddress !== undefined) {
    lines.push(`x-forwarded-for: ${forwarded === undefined ? "" : `${forwarded}, `}${clientAddress}\r\n`)
  } else if (forwarded !== undefined) lines.push(`x-forwarded-for: ${forwarded}\r\n`)
  const random = newRequestId()
  const requestId = all["x-request-id"] ?? random
  const given = all["traceparent"]
  // Sampled, as a pod's tracer would be when nobody asked; a client's own decision is kept.
  const traceparent = given !== undefined && validTraceparent.test(given)
    ? given
    : `00-${random}-${random.slice(8, 24)}-01`
  lines.push(`x-request-id: ${requestId}\r\ntraceparent: ${traceparent}\r\n`)
  return { lines: lines.join(""), requestId }
}
