import { BadRequest } from "../../errors.ts"

/** RFC 9110 section 7.2: a name or an address, and perhaps a port. No blank: Bun joins several headers by ", ". */
const oneHost = /^(?:\[[\w.:~%-]+\]|[\w.~!$&'()*+,;=%-]*)(?::\d*)?$/

/**
 * Throws BadRequest for several Host headers, even equal ones, or one that names no host (RFC 9112 section 3.2): what
 * stands before us may have read another one. HTTP/1.0 may leave it out; of HTTP/1.1 without it Bun tells us nothing.
 */
export const checkHost = (headers: Headers): void => {
  const host = headers.get("host")
  if (host === null || oneHost.test(host)) return
  throw new BadRequest({
    message: "the request must have one Host header, a host with an optional port; there are several or it is none"
  })
}
