import { timingSafeEqual } from "node:crypto"
import { GatewayError, Unauthorized } from "../../errors.ts"
import { type ClientKey, keyDigest, presentedKey } from "./clientKey.ts"
import { KeyHolder } from "./KeyHolder.ts"
import { KeyLease } from "./KeyLease.ts"

export interface KeyRingOptions {
  /** Open requests of a key that has no limit of its own. */
  readonly openRequestsPerKeyMax: number
  /** Wall clock, since keys end at a date. */
  readonly nowMs: () => number
}

/** Why requests were turned away without a valid key. */
export type Refusal = Unauthorized["code"]

interface KnownKey {
  readonly digest: Uint8Array
  readonly holder: KeyHolder
}

/**
 * The keys that open the gateway. A presented key is hashed, its hash looked up and then compared in constant time:
 * how long the look takes depends on the hash alone, which says nothing of how near a guess came.
 */
export class KeyRing {
  readonly refusals: Record<Refusal, number> = { missing_api_key: 0, invalid_api_key: 0, expired_api_key: 0 }
  private options: KeyRingOptions
  private byDigest: ReadonlyMap<string, KnownKey> = new Map()
  private byName: ReadonlyMap<string, KeyHolder> = new Map()

  /** `aliases`: name a client uses → model the pods serve. */
  constructor(options: KeyRingOptions, keys: ReadonlyArray<ClientKey>, aliases: ReadonlyMap<string, string>) {
    this.options = options
    this.replaceKeys(keys, aliases)
  }

  /** In one step; open requests go on. Keys of a name that was there keep what they have used. Hashes and names differ. */
  replaceKeys(keys: ReadonlyArray<ClientKey>, aliases: ReadonlyMap<string, string>): void {
    const { nowMs } = this.options
    const byDigest = new Map<string, KnownKey>()
    const byName = new Map<string, KeyHolder>()
    for (const key of keys) {
      const known = this.byName.get(key.name)
      const holder = known ?? new KeyHolder(key, aliases, nowMs())
      known?.grant(key, aliases, nowMs())
      byDigest.set(key.sha256, { digest: Buffer.from(key.sha256, "hex"), holder })
      byName.set(key.name, holder)
    }
    this.byDigest = byDigest
    this.byName = byName
  }

  /** For requests that come from now on; those that are open stay so. */
  replaceOptions(options: KeyRingOptions): void {
    this.options = options
  }

  holders(): Iterable<KeyHolder> {
    return this.byName.values()
  }

  /** Who asks. Throws Unauthorized. */
  holderOf(headers: Headers): KeyHolder {
    const key = presentedKey(headers)
    if (key === undefined) throw this.refuse("missing_api_key", missingText)
    const digest = keyDigest(key)
    const known = this.byDigest.get(digest)
    if (known === undefined || !timingSafeEqual(known.digest, Buffer.from(digest, "hex"))) {
      throw this.refuse("invalid_api_key", "the API key is not one of this gateway's")
    }
    const { holder } = known
    if (holder.expired(this.options.nowMs())) throw this.refuse("expired_api_key", "the API key has expired")
    return holder
  }

  /** Takes a request in. Throws Unauthorized or KeyLimited. */
  admit(headers: Headers): KeyLease {
    const holder = this.holderOf(headers)
    try {
      holder.enter(this.options.openRequestsPerKeyMax, this.options.nowMs())
    } catch (cause) {
      if (cause instanceof GatewayError) holder.refused++
      throw cause
    }
    return new KeyLease(holder, this.options.nowMs)
  }

  private refuse(code: Refusal, message: string): Unauthorized {
    this.refusals[code]++
    return new Unauthorized(code, message)
  }
}

const missingText = "this gateway asks for an API key, as \"Authorization: Bearer KEY\" or \"x-api-key: KEY\""
