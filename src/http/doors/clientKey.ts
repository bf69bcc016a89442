import { randomBytes } from "node:crypto"

/** What an operator grants to the holder of one key. */
export interface ClientKey {
  /** Shown in logs and metrics in the key's place. */
  readonly name: string
  /** SHA-256 of the key, 64 lower-case hex digits. */
  readonly sha256: string
  /** Models, or aliases, that it may use; undefined: all. */
  readonly models: ReadonlyArray<string> | undefined
  readonly requestsPerMinute: number | undefined
  /** Prompt and output together. */
  readonly tokensPerMinute: number | undefined
  /** Undefined: the limit of every key. */
  readonly openRequestsMax: number | undefined
  /** Wall clock; undefined: it never ends. */
  readonly expiresAtMs: number | undefined
}

const keyBytes = 32

/** A key of 256 random bits, which no dictionary holds: a plain hash of it gives nothing away, so no salt is needed. */
export const newKey = (): string => `wr-${randomBytes(keyBytes).toString("base64url")}`

/** Lower-case hex. */
export const keyDigest = (key: string): string => Bun.SHA256.hash(key, "hex")

/** `sha256:…` as the configuration has it. */
export const keyHash = (key: string): string => `sha256:${keyDigest(key)}`

const bearer = /^bearer +(\S+) *$/i

/** The key that a request brings: OpenAI's bearer token or Anthropic's header. Undefined: none. */
export const presentedKey = (headers: Headers): string | undefined => {
  const authorization = headers.get("authorization")
  const token = authorization === null ? undefined : bearer.exec(authorization)?.[1]
  return token ?? (headers.get("x-api-key") || undefined)
}
