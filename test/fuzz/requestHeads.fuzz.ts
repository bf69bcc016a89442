import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { GatewayError } from "../../src/errors.ts"
import { keyDigest } from "../../src/http/doors/clientKey.ts"
import { KeyRing } from "../../src/http/doors/KeyRing.ts"
import { requestWish } from "../../src/http/features/requestWish.ts"
import { podRequestHeaders } from "../../src/http/requestHeaders.ts"
import { inheritedNames, plan, propertyTimeoutMs } from "./fuzz.ts"

const rules = { headersMax: 8, headerBytesMax: 400, forwardCredentials: true }
const names = fc.constantFrom(
  "authorization",
  "x-api-key",
  "connection",
  "host",
  "te",
  "traceparent",
  "transfer-encoding",
  "x-forwarded-for",
  "x-llm-d-inference-fairness-id",
  "x-prefiller-host-port",
  "x-request-id",
  "x-warmroute-deadline-ms",
  "x-warmroute-pod",
  "x-warmroute-priority",
  "X-Any",
  ...inheritedNames
)
const values = fc.oneof(
  fc.constantFrom(
    "",
    " ",
    "close",
    "x-any, te",
    "-1",
    "1e999",
    "0x7",
    "NaN",
    "5",
    "Bearer ",
    "Bearer sk-1",
    "Bearer a b"
  ),
  fc.string({ maxLength: 60 }),
  fc.string({ maxLength: 200, unit: "binary" })
)
/** What Bun's server would let through: anything else never reaches us. */
const headersArb = fc.array(fc.tuple(names, values), { maxLength: 12 }).map((pairs) => {
  const headers = new Headers()
  for (const [name, value] of pairs) {
    try {
      headers.append(name, value)
    } catch {
      // Not a header at all.
    }
  }
  return headers
})

/** Runs it; a fault must be the client's, with a status that says so. */
const refusedOr = <A>(run: () => A): A | undefined => {
  try {
    return run()
  } catch (cause) {
    if (!(cause instanceof GatewayError)) throw cause
    expect([400, 401, 429, 431]).toContain(cause.status)
    return undefined
  }
}

describe("headers of any kind", () => {
  test("reach a pod as whole lines, none of them one that chooses or smuggles", () => {
    fc.assert(
      fc.property(headersArb, (headers) => {
        const made = refusedOr(() => podRequestHeaders(headers, "10.0.0.1", rules))
        if (made === undefined) return
        const lines = made.lines.split("\r\n")
        expect(lines.pop()).toBe("")
        for (const line of lines) {
          expect(line).toMatch(/^[\w!#$%&'*+.^`|~-]+: [^\r\n\0]*$/)
          expect(line).not.toMatch(/^(?:host|content-length|connection|te|transfer-encoding|x-warmroute-|x-prefiller-)/)
        }
        expect(lines.filter((line) => line.startsWith("x-request-id: "))).toHaveLength(1)
        expect(lines.filter((line) => line.startsWith("traceparent: "))).toHaveLength(1)
      }),
      plan("requestHeads", 0.4)
    )
  }, propertyTimeoutMs)

  test("wish for a wait with numbers in it, or are refused", () => {
    const wishes = { priorityOf: () => undefined, readsPriority: true, readsFlow: "auto" as const }
    fc.assert(
      fc.property(headersArb, fc.constantFrom(undefined, "key"), (headers, keyName) => {
        const wish = refusedOr(() => requestWish(headers, 10, keyName, wishes))
        if (wish === undefined) return
        expect(Math.abs(wish.priority)).toBeLessThanOrEqual(100)
        expect(wish.flow.length).toBeLessThanOrEqual(128)
        expect(wish.waitMaxS === undefined || (Number.isFinite(wish.waitMaxS) && wish.waitMaxS >= 0)).toBe(true)
      }),
      plan("requestHeads", 0.3)
    )
  }, propertyTimeoutMs)

  test("open a gateway with keys only by a key of it, and leave nothing behind", () => {
    const key = {
      name: "a",
      sha256: keyDigest("sk-1"),
      models: undefined,
      requestsPerMinute: undefined,
      tokensPerMinute: undefined,
      openRequestsMax: undefined,
      expiresAtMs: undefined
    }
    const ring = new KeyRing({ openRequestsPerKeyMax: 4, nowMs: () => 0 }, [key], new Map())
    fc.assert(
      fc.property(headersArb, (headers) => {
        const lease = refusedOr(() => ring.admit(headers))
        const shown = headers.get("authorization") ?? ""
        const isKey = /^bearer +sk-1 *$/i.test(shown) || headers.get("x-api-key") === "sk-1"
        if (lease !== undefined) expect(isKey).toBe(true)
        lease?.end("aborted", 499, undefined, undefined)
        expect([...ring.holders()].map(({ name, open }) => `${name} ${open}`)).toEqual(["a 0"])
      }),
      plan("requestHeads", 0.3)
    )
  }, propertyTimeoutMs)
})
