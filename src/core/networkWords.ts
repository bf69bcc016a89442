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

/** Of a host that is none of this machine's; one without any address has no code of its own. */
const noInterface = /, listen$|^Failed to listen at|getaddrinfo/

/** Why nobody can listen there, and what is to be changed. */
export const listenFault = (cause: unknown): { readonly why: string; readonly change: "host" | "port" } => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined
  if (code === "EADDRINUSE") return { why: "the port is taken", change: "port" }
  if (code === "EACCES") return { why: "this user may not take the port", change: "port" }
  const message = cause instanceof Error ? cause.message : String(cause)
  return code === "EADDRNOTAVAIL" || noInterface.test(message)
    ? { why: "no interface of this machine has this address", change: "host" }
    : { why: message, change: "port" }
}

/** Why a connection came to nothing, in words of our own where there are some; the runtime's speak of other things too. */
export const networkWords = (cause: unknown): string => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined
  const said = words.get(code)
  if (said !== undefined) return `${said} (${String(code)})`
  return cause instanceof Error ? cause.message : String(cause)
}
