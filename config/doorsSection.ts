import { Either, Schema } from "effect"
import { podAddressFromUrl } from "../src/core/Pod.ts"
import type { ClientKey } from "../src/http/doors/clientKey.ts"
import { count, perhaps, reading, setting } from "./schemaParts.ts"

const MANY = 1_000_000_000

const Name = Schema.NonEmptyString

/** A name that is fit for a metric's label and a line of a log. */
export const KeyName = Schema.String.pipe(
  Schema.pattern(/^[\w.@-]{1,64}$/, {
    message: ({ actual }) => `${JSON.stringify(actual)} is no name for a key; take up to 64 letters, digits and . _ @ -`
  })
)

const hashForm = /^sha256:([0-9a-f]{64})$/i

const KeyHash: Schema.Schema<string, string> = reading(
  Schema.String,
  (text) => {
    const digest = hashForm.exec(text)?.[1]
    // The text may be a key that somebody took for its hash, so the message does not repeat it.
    return digest === undefined
      ? Either.left("is not \"sha256:\" and 64 hex digits; `warmroute key` makes a key and prints this line")
      : Either.right(digest.toLowerCase())
  },
  (digest) => `sha256:${digest}`
)

/** A day ends when it ends in UTC; a moment has an offset or Z. */
const Moment: Schema.Schema<number, string> = reading(
  Schema.String,
  (text) => {
    const day = /^\d{4}-\d\d-\d\d$/.test(text)
    const at = day || /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)$/.test(text)
      ? Date.parse(day ? `${text}T23:59:59.999Z` : text)
      : Number.NaN
    return Number.isNaN(at)
      ? Either.left(`"${text}" is no date such as 2027-01-31 or 2027-01-31T12:00:00Z`)
      : Either.right(at)
  },
  (at) => new Date(at).toISOString()
)

const Key = Schema.Struct({
  /** Shown in logs and metrics; the key itself never is. */
  name: KeyName,
  /** As `warmroute key` prints it. */
  hash: KeyHash,
  /** Models, or aliases, that it may use. Default: all. */
  models: perhaps(Schema.Array(Name)),
  /** Further ones get 429. Default: any number. */
  requestsPerMinute: perhaps(count(1, MANY)),
  /** Prompt and output together: a prompt is charged when it comes, and what it really used at the end. Default: any. */
  tokensPerMinute: perhaps(count(1, MANY)),
  /** Default: `limits.openRequestsPerKeyMax`. */
  openRequestsMax: perhaps(count(1, MANY)),
  /** Last day in UTC, or a moment. Default: never. */
  expires: perhaps(Moment)
})

const firstRepeated = (keys: ReadonlyArray<typeof Key.Type>, what: "name" | "hash"): number =>
  keys.findIndex((key, index) => keys.findIndex((other) => other[what] === key[what]) < index)

/** Keys of different names and hashes. */
export const KeyList = Schema.Array(Key).pipe(
  Schema.filter((keys) => {
    const name = firstRepeated(keys, "name")
    if (name >= 0) return { path: [name, "name"], message: `repeats the name "${keys[name]?.name}" of an earlier key` }
    const hash = firstRepeated(keys, "hash")
    return hash < 0 ? undefined : { path: [hash, "hash"], message: "repeats the hash of an earlier key" }
  })
)

/** A key as the front reads it. */
export const clientKey = (key: typeof Key.Type): ClientKey => ({
  name: key.name,
  sha256: key.hash,
  models: key.models,
  requestsPerMinute: key.requestsPerMinute,
  tokensPerMinute: key.tokensPerMinute,
  openRequestsMax: key.openRequestsMax,
  expiresAtMs: key.expires
})

export const Auth = Schema.Struct({
  /** Keys that clients must bring, by their hashes. Default none; without any key here or in `keysPath`, all may come. */
  keys: setting(KeyList, []),
  /** YAML or JSON list of further keys, read again when it changes. Default: none. */
  keysPath: perhaps(Name),
  /** Say nothing when the gateway is open to other machines without keys. Default false. */
  insecure: setting(Schema.Boolean, false)
})

export const ListenTls = Schema.Struct({
  /** PEM file of the certificate and its chain, read again when it changes. */
  certPath: Name,
  /** PEM file of its key. */
  keyPath: Name
})

const isPod = (text: string): boolean => {
  const read = podAddressFromUrl(`http://${text}`)
  return typeof read !== "string" && read.id === text
}

export const PodAccess = Schema.Struct({
  /** Variable of the environment with the bearer token that pods get (vLLM's --api-key). Default: none. */
  tokenVariable: perhaps(Name),
  /** File with that token, read again when it changes. Default: none. */
  tokenPath: perhaps(Name),
  /** Files with tokens of single pods, by host:port. Default none. */
  tokenPaths: setting(Schema.Record({ key: Schema.String, value: Name }), {}),
  /** PEM file of the authorities that sign the pods' certificates. Default: the system's. */
  caPath: perhaps(Name),
  /** PEM files of the gateway's own certificate and its key, for pods that ask for one. Default: none. */
  certPath: perhaps(Name),
  keyPath: perhaps(Name)
}).pipe(
  Schema.filter(({ certPath, keyPath, tokenPath, tokenPaths, tokenVariable }) => {
    const stranger = Object.keys(tokenPaths).find((id) => !isPod(id))
    if (stranger !== undefined) {
      return { path: ["tokenPaths", stranger], message: "is no pod; write it as host:port, as /metrics has it" }
    }
    if (tokenVariable !== undefined && tokenPath !== undefined) {
      return { path: ["tokenPath"], message: "stands beside tokenVariable; remove one of them" }
    }
    if ((certPath === undefined) === (keyPath === undefined)) return undefined
    return certPath === undefined
      ? { path: ["certPath"], message: "is missing; a key needs its certificate" }
      : { path: ["keyPath"], message: "is missing; a certificate needs its key" }
  })
)
