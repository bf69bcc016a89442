import { describe, expect, test } from "bun:test"
import { KeyLimited, ModelForbidden, Unauthorized } from "../../../src/errors.ts"
import { type ClientKey, keyDigest, keyHash, newKey, presentedKey } from "../../../src/http/doors/clientKey.ts"
import { KeyRing } from "../../../src/http/doors/KeyRing.ts"

const good = "wr-a-key-of-some-length"

const granted = (terms: Partial<ClientKey> = {}, key = good): ClientKey => ({
  name: "team-a",
  sha256: keyDigest(key),
  models: undefined,
  requestsPerMinute: undefined,
  tokensPerMinute: undefined,
  openRequestsMax: undefined,
  expiresAtMs: undefined,
  ...terms
})

const aliases = new Map([["gpt", "qwen"]])

const ringOf = (keys: ReadonlyArray<ClientKey>, clock = { nowMs: 0 }) =>
  new KeyRing({ openRequestsPerKeyMax: 3, nowMs: () => clock.nowMs }, keys, aliases)

const bearing = (key: string) => new Headers({ authorization: `Bearer ${key}` })

const refusalOf = (act: () => unknown): { readonly code: string; readonly retryAfterS: number | undefined } => {
  try {
    act()
  } catch (cause) {
    if (cause instanceof Unauthorized || cause instanceof KeyLimited || cause instanceof ModelForbidden) return cause
    throw cause
  }
  throw new Error("it was let in")
}

describe("a key", () => {
  test("has 256 random bits and is hashed as sha256sum does", () => {
    expect(newKey()).toMatch(/^wr-[\w-]{43}$/)
    expect(newKey()).not.toBe(newKey())
    expect(keyHash("test")).toBe("sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
  })

  test("is taken from a bearer token or from Anthropic's header", () => {
    expect(presentedKey(new Headers({ authorization: "bearer  abc " }))).toBe("abc")
    expect(presentedKey(new Headers({ "x-api-key": "abc" }))).toBe("abc")
    expect(presentedKey(new Headers({ authorization: "Basic abc", "x-api-key": "def" }))).toBe("def")
    expect(presentedKey(new Headers({ authorization: "Bearer a, Bearer b" }))).toBeUndefined()
    expect(presentedKey(new Headers({ "x-api-key": "" }))).toBeUndefined()
  })
})

describe("KeyRing", () => {
  test("lets a good key in, and tells a missing, a wrong and an expired one apart", () => {
    const clock = { nowMs: 0 }
    const ring = ringOf([granted({ expiresAtMs: 1000 })], clock)
    expect(ring.holderOf(bearing(good)).name).toBe("team-a")
    expect(refusalOf(() => ring.admit(new Headers())).code).toBe("missing_api_key")
    expect(refusalOf(() => ring.admit(bearing(`${good}x`))).code).toBe("invalid_api_key")
    expect(refusalOf(() => ring.admit(bearing(keyDigest(good)))).code).toBe("invalid_api_key")
    clock.nowMs = 1000
    expect(refusalOf(() => ring.admit(bearing(good))).code).toBe("expired_api_key")
    expect(ring.refusals).toEqual({ missing_api_key: 1, invalid_api_key: 2, expired_api_key: 1 })
  })

  test.each([
    ["one character is another", good.replace("-a-", "-b-")],
    ["its last character is missing", good.slice(0, -1)],
    ["it goes on", `${good}x`],
    ["its case is another", good.toUpperCase()],
    ["a word is its hash", keyDigest(good)],
    ["it is quoted", `"${good}"`]
  ])("does not let in who is near a key: %s", (_how, near) => {
    const ring = ringOf([granted(), granted({ name: "team-b" }, "wr-another-key")])
    expect(refusalOf(() => ring.holderOf(bearing(near))).code).toBe("invalid_api_key")
    expect(ring.holderOf(bearing("wr-another-key")).name).toBe("team-b")
  })

  test("requests a minute run out and come back, with an honest wait", () => {
    const clock = { nowMs: 0 }
    const ring = ringOf([granted({ requestsPerMinute: 2, openRequestsMax: 10 })], clock)
    ring.admit(bearing(good))
    ring.admit(bearing(good))
    expect(refusalOf(() => ring.admit(bearing(good)))).toMatchObject({
      code: "requests_per_minute_exceeded",
      retryAfterS: 30
    })
    clock.nowMs = 30_000
    expect(() => ring.admit(bearing(good))).not.toThrow()
  })

  test("open requests are bounded for each key, by its own limit or the common one", () => {
    const ring = ringOf([granted(), granted({ name: "team-b", openRequestsMax: 1 }, "another")])
    const leases = [1, 2, 3].map(() => ring.admit(bearing(good)))
    expect(refusalOf(() => ring.admit(bearing(good))).code).toBe("key_open_requests_exceeded")
    ring.admit(bearing("another"))
    expect(refusalOf(() => ring.admit(bearing("another"))).code).toBe("key_open_requests_exceeded")
    leases[0]?.end("finished", 200, undefined, undefined)
    leases[0]?.end("finished", 200, undefined, undefined)
    ring.admit(bearing(good))
    expect(refusalOf(() => ring.admit(bearing(good))).code).toBe("key_open_requests_exceeded")
  })

  test("models are those granted, an alias with what it stands for, and a name is needed", () => {
    const lease = ringOf([granted({ models: ["gpt"] })]).admit(bearing(good))
    expect(() => lease.charge("gpt", 1)).not.toThrow()
    expect(() => lease.charge("qwen", 1)).not.toThrow()
    expect(refusalOf(() => lease.charge("llama", 1)).code).toBe("model_not_allowed")
    expect(refusalOf(() => lease.charge("", 1)).code).toBe("model_not_allowed")
  })

  test("tokens are charged by the prompt and corrected by the usage at the end", () => {
    const ring = ringOf([granted({ tokensPerMinute: 1000, openRequestsMax: 10 })])
    const usage = { promptTokens: 300, cachedTokens: 0, outputTokens: 200 }
    const first = ring.admit(bearing(good))
    first.charge("qwen", 900)
    expect(refusalOf(() => ring.admit(bearing(good)).charge("qwen", 200)).code).toBe("tokens_per_minute_exceeded")
    first.end("finished", 200, usage, 200)
    expect(() => ring.admit(bearing(good)).charge("qwen", 500)).not.toThrow()
    expect([...ring.holders()].map(({ tokens }) => tokens)).toEqual([500])
  })

  test("what failed costs no tokens, what the client left costs prompt and counted output", () => {
    const ring = ringOf([granted({ tokensPerMinute: 1000, openRequestsMax: 10 })])
    const used = () => [...ring.holders()][0]?.tokens
    const end = (outcome: "finished" | "failed" | "aborted", status: number, output?: number) => {
      const lease = ring.admit(bearing(good))
      lease.charge("qwen", 100)
      lease.end(outcome, status, undefined, output)
      return used()
    }
    expect(end("failed", 503)).toBe(0)
    expect(end("finished", 400)).toBe(0)
    expect(end("aborted", 200, 7)).toBe(107)
    expect(end("finished", 200, 5)).toBe(212)
  })

  test("other keys take over at once, and a name keeps what it used", () => {
    const ring = ringOf([granted({ requestsPerMinute: 1 })])
    ring.admit(bearing(good))
    ring.replaceKeys([granted({ requestsPerMinute: 1 }, "rotated"), granted({ name: "new" }, "second")], aliases)
    expect(refusalOf(() => ring.admit(bearing(good))).code).toBe("invalid_api_key")
    expect(refusalOf(() => ring.admit(bearing("rotated"))).code).toBe("requests_per_minute_exceeded")
    expect(() => ring.admit(bearing("second"))).not.toThrow()
    ring.replaceKeys([], aliases)
    expect([...ring.holders()]).toEqual([])
  })
})
