import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { type PodAddress, podAddress } from "../../../src/core/Pod.ts"
import { nameInToken } from "../../../src/core/sessionToken.ts"
import { SessionTokens } from "../../../src/http/doors/SessionTokens.ts"

const [oldSecret, secret, otherSecret] = ["o", "n", "x"].map((letter) => letter.repeat(32)) as [string, string, string]
const signed = (...secrets: ReadonlyArray<string>) => new SessionTokens({ form: "signed", secrets })

const plainPod = podAddress("10.0.0.1", 8000, false)
const named: PodAddress = { ...podAddress("10.0.0.1", 8001, false), name: "ai/vllm-é", rank: 1 }
const pods = [plainPod, named, podAddress("fd00::1", 8000, true)]
const tokenArb = fc.constantFrom(...pods).map((pod) => signed(secret).tokenOf(pod))

describe("a signed token", () => {
  test.each(pods.map((pod) => [pod.id, pod] as const))("names its pod again: %s", (_id, pod) => {
    const token = signed(secret).tokenOf(pod)
    expect(token).toMatch(/^[\w-]+$/)
    expect(signed(secret).podOf(token)).toBe(nameInToken(pod))
  })

  test("is none with any character changed, left out or put in", () => {
    const tampered = fc.tuple(tokenArb, fc.nat(), fc.constantFrom(..."AQZaqz019-_=.+/ \n\u00e9"), fc.nat(2)).map(
      ([token, at, character, how]) => {
        const place = at % token.length
        return [token, token.slice(0, place) + (how === 1 ? "" : character) + token.slice(place + (how === 2 ? 0 : 1))]
      }
    )
    fc.assert(
      fc.property(tampered, ([token, other = ""]) => {
        fc.pre(other !== token)
        expect(signed(secret).podOf(other)).toBe("")
      }),
      { numRuns: 2000 }
    )
  })

  test("is no text that a client could think of", () => {
    const guess = fc.oneof(
      fc.string(),
      fc.base64String(),
      fc.uint8Array().map((bytes) => Buffer.from(bytes).toString("base64url")),
      fc.uint8Array({ minLength: 16, maxLength: 16 }).map((tag) =>
        Buffer.concat([Buffer.from(plainPod.id), tag]).toString("base64url")
      ),
      fc.constantFrom(plainPod.id, btoa(plainPod.id), btoa("ai/vllm-é"), "a".repeat(100_000))
    )
    fc.assert(fc.property(guess, (text) => expect(signed(secret).podOf(text)).toBe("")), { numRuns: 2000 })
  })

  test("of another pod's tag, or another gateway's secret, is none", () => {
    const [one, other] = [plainPod, named].map((pod) => Buffer.from(signed(secret).tokenOf(pod), "base64url"))
    const mixed = Buffer.concat([one!.subarray(0, -16), other!.subarray(-16)]).toString("base64url")
    expect(signed(secret).podOf(mixed)).toBe("")
    expect(signed(secret).podOf(signed(otherSecret).tokenOf(plainPod))).toBe("")
    expect(signed().podOf(signed(secret).tokenOf(plainPod))).toBe("")
  })

  test("has a tag of 16 bytes of HMAC-SHA256, for this purpose alone", () => {
    const bytes = Buffer.from(signed(secret).tokenOf(plainPod), "base64url")
    const bare = new Bun.CryptoHasher("sha256", secret).update(plainPod.id).digest()
    expect(bytes.length).toBe(plainPod.id.length + 16)
    expect(bytes.subarray(-16).equals(bare.subarray(0, 16))).toBe(false)
  })
})

describe("another secret", () => {
  test("signs when it comes first, while the tokens of those behind it stay good", () => {
    const tokens = signed(oldSecret)
    const old = tokens.tokenOf(plainPod)
    tokens.replace({ form: "signed", secrets: [secret, oldSecret] })
    expect(tokens.tokenOf(plainPod)).toBe(signed(secret).tokenOf(plainPod))
    expect(tokens.podOf(old)).toBe(plainPod.id)
    expect(tokens.podOf(tokens.tokenOf(plainPod))).toBe(plainPod.id)
    tokens.replace({ form: "signed", secrets: [secret] })
    expect(tokens.podOf(old)).toBe("")
  })
})

describe("a plain token", () => {
  const plain = new SessionTokens({ form: "plain" })

  test("is llm-d's: the pod's namespace, name and rank in base64", () => {
    const pod: PodAddress = { ...plainPod, name: "ns/a", rank: 1 }
    expect(atob(plain.tokenOf(pod))).toBe("ns/a-rank-1")
    expect(atob(plain.tokenOf(plainPod))).toBe(plainPod.id)
    expect(plain.podOf(btoa("ns/b"))).toBe("ns/b")
    expect(plain.podOf(plain.tokenOf(named))).toBe("ai/vllm-é-rank-1")
    expect(plain.podOf("%%%")).toBe("")
    expect(plain.podOf(btoa("a".repeat(1000)))).toBe("")
  })

  test("is none where tokens are signed", () => {
    expect(signed(secret).podOf(plain.tokenOf(plainPod))).toBe("")
  })
})
