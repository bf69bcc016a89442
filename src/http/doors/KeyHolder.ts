import { TokenBucket } from "../../core/TokenBucket.ts"
import { KeyLimited, ModelForbidden } from "../../errors.ts"
import type { ClientKey } from "./clientKey.ts"

/** What one key has used. It lives as long as a key of that name does, through reloads. */
export class KeyHolder {
  readonly name: string
  open = 0
  admitted = 0
  refused = 0
  /** Prompt and output tokens of requests that have ended. */
  tokens = 0
  private key: ClientKey
  private models: ReadonlySet<string> | undefined
  private requestBucket: TokenBucket | undefined
  private tokenBucket: TokenBucket | undefined

  constructor(key: ClientKey, aliases: ReadonlyMap<string, string>, nowMs: number) {
    this.name = key.name
    this.key = key
    this.grant(key, aliases, nowMs)
  }

  /** New terms; what was used under the old ones stays used. */
  grant(key: ClientKey, aliases: ReadonlyMap<string, string>, nowMs: number): void {
    this.key = key
    this.models = key.models === undefined
      ? undefined
      : new Set(key.models.flatMap((model) => [model, aliases.get(model) ?? model]))
    this.requestBucket = resized(this.requestBucket, key.requestsPerMinute, nowMs)
    this.tokenBucket = resized(this.tokenBucket, key.tokensPerMinute, nowMs)
  }

  expired(nowMs: number): boolean {
    return this.key.expiresAtMs !== undefined && nowMs >= this.key.expiresAtMs
  }

  /** An alias and the model it stands for are allowed together. */
  mayUse(model: string): boolean {
    return this.models === undefined || this.models.has(model)
  }

  /** Throws ModelForbidden. An empty name is a request that names none. */
  checkModel(model: string): void {
    if (this.mayUse(model)) return
    this.refused++
    const message = model === ""
      ? "this key is for certain models, so its requests must name one"
      : `this key may not use the model "${model}"`
    throw new ModelForbidden({ message, param: "model" })
  }

  /** Counts a request in. Throws KeyLimited. */
  enter(openMaxOfAll: number, nowMs: number): void {
    const openMax = this.key.openRequestsMax ?? openMaxOfAll
    if (this.open >= openMax) {
      throw new KeyLimited("key_open_requests_exceeded", `this key already has ${openMax} requests open`, 1)
    }
    const waitS = this.requestBucket?.waitS(1, nowMs) ?? 0
    if (waitS > 0) {
      const message = `this key may send ${this.key.requestsPerMinute} requests a minute`
      throw new KeyLimited("requests_per_minute_exceeded", message, waitS)
    }
    this.requestBucket?.take(1, nowMs)
    this.open++
    this.admitted++
  }

  leave(): void {
    this.open--
  }

  /** Charges a prompt before it is served. Throws KeyLimited. */
  chargePrompt(promptTokens: number, nowMs: number): void {
    const bucket = this.tokenBucket
    if (bucket === undefined) return
    const waitS = bucket.waitS(promptTokens, nowMs)
    if (waitS > 0) {
      this.refused++
      const message = `this key may use ${this.key.tokensPerMinute} tokens a minute, prompts and answers together`
      throw new KeyLimited("tokens_per_minute_exceeded", message, waitS)
    }
    bucket.take(promptTokens, nowMs)
  }

  /** Puts what a request used in the place of what it was charged. */
  correct(chargedTokens: number, usedTokens: number, nowMs: number): void {
    this.tokens += usedTokens
    this.tokenBucket?.take(usedTokens - chargedTokens, nowMs)
  }
}

const resized = (
  bucket: TokenBucket | undefined,
  perMinute: number | undefined,
  nowMs: number
): TokenBucket | undefined => {
  if (perMinute === undefined) return undefined
  if (bucket === undefined) return new TokenBucket(perMinute, nowMs)
  bucket.resize(perMinute, nowMs)
  return bucket
}
