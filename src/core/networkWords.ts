const words: ReadonlyMap<unknown, string> = new Map([
  ["ECONNREFUSED", "the connection was refused"],
  ["ECONNRESET", "the connection was closed in the middle"],
  ["EPIPE", "the connection was closed in the middle"],
  ["ENOTFOUND", "the host's name has no address"],
  ["ETIMEDOUT", "the connection timed out"],
  ["EHOSTUNREACH", "there is no way to the host"],
  ["ENETUNREACH", "there is no way to the network"],
  ["EPROTO", "the TLS handshake failed"]
])

/** Why a connection came to nothing, in words of our own where there are some; the runtime's speak of other things too. */
export const networkWords = (cause: unknown): string => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined
  const said = words.get(code)
  if (said !== undefined) return `${said} (${String(code)})`
  return cause instanceof Error ? cause.message : String(cause)
}
