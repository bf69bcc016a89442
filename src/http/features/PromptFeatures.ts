import { type BlockChain, emptyChain } from "../../core/BlockChain.ts"
import { BlockHasher, seedOf } from "../../core/BlockHash.ts"
import type { RequestFeatures } from "../../core/RequestFeatures.ts"
import type { SessionTokens } from "../doors/SessionTokens.ts"
import { BytesPerToken } from "./BytesPerToken.ts"
import { PromptBytes } from "./PromptBytes.ts"

/** What is shared by the features of all requests. */
export class FeatureWorkshop {
  readonly promptBytes = new PromptBytes()
  readonly hasher = new BlockHasher()
  readonly bytesPerToken: BytesPerToken

  constructor(learnedModelsMax: number) {
    this.bytesPerToken = new BytesPerToken(learnedModelsMax)
  }
}

/** Text of a prompt, its token ids, or a guess of its tokens when nothing in it can be found again in a cache. */
export type Prompt =
  | { readonly text: string }
  | { readonly ids: ReadonlyArray<number> }
  | { readonly tokensGuessed: number }

export interface RequestFacts {
  readonly model: string
  /** Keeps caches of different owners apart. */
  readonly cacheSalt: string
  readonly prompt: Prompt
  /** False: the prompt costs prefill, but no prefix of it will be cached. */
  readonly followsPrefix: boolean
  readonly outputTokensMax: number | undefined
  readonly generates: boolean
  readonly streams: boolean
  readonly sessionHash: number
  readonly headers?: RequestFeatures["headers"]
  readonly sessionTokens?: SessionTokens | undefined
}

/** Bytes of one block for each token of the block size; for text this assumes 4 bytes a token, for ids it is exact. */
const bytesPerBlockToken = 4

export class PromptFeatures implements RequestFeatures {
  readonly model: string
  readonly promptTokens: number
  readonly outputTokensMax: number | undefined
  readonly generates: boolean
  /** A front end that will not see the stream takes it back before the pick. */
  streams: boolean
  readonly sessionHash: number
  headers: RequestFeatures["headers"]
  /** Set before the pick by a front end whose proxy narrows the choice or tries again by itself. */
  only: ReadonlyArray<string> | undefined
  fallbacksMax: number | undefined
  /** Set before the pick by a front end that knows how the request may wait. */
  wish: RequestFeatures["wish"]
  /** Bytes of the canonical text; 0 when the prompt is not text. */
  readonly textBytes: number
  private readonly sessionTokens: SessionTokens | undefined
  /** The header that a token was looked for in last, and what came of it: a request that waits is asked many times. */
  private tokenHeader = ""
  private tokenPod = ""
  private readonly workshop: FeatureWorkshop
  private readonly bytesPerToken: number
  private readonly cacheSalt: string
  private prompt: Prompt
  /** By block size; a pool seldom has more than one. */
  private readonly chainSizes: Array<number> = []
  private readonly chains: Array<BlockChain> = []

  constructor(facts: RequestFacts, workshop: FeatureWorkshop) {
    this.model = facts.model
    this.outputTokensMax = facts.outputTokensMax
    this.generates = facts.generates
    this.streams = facts.streams
    this.sessionHash = facts.sessionHash
    this.headers = facts.headers
    this.sessionTokens = facts.sessionTokens
    this.cacheSalt = facts.cacheSalt
    this.workshop = workshop
    this.prompt = facts.followsPrefix ? facts.prompt : nothing
    if ("text" in facts.prompt) {
      workshop.promptBytes.encode(facts.prompt.text, this)
      this.textBytes = workshop.promptBytes.byteLength
      this.bytesPerToken = workshop.bytesPerToken.of(facts.model)
      this.promptTokens = Math.ceil(this.textBytes / this.bytesPerToken)
    } else {
      this.textBytes = 0
      this.bytesPerToken = bytesPerBlockToken
      this.promptTokens = "ids" in facts.prompt ? facts.prompt.ids.length : facts.prompt.tokensGuessed
    }
  }

  readonly chain = (blockSizeTokens: number): BlockChain => {
    const known = this.chains[this.chainSizes.indexOf(blockSizeTokens)]
    if (known !== undefined) return known
    const chain = this.hash(blockSizeTokens)
    this.chainSizes.push(blockSizeTokens)
    this.chains.push(chain)
    return chain
  }

  readonly tokensPerBlock = (blockSizeTokens: number): number =>
    (blockSizeTokens * bytesPerBlockToken) / this.bytesPerToken

  podOfToken(header: string): string {
    if (header === this.tokenHeader) return this.tokenPod
    const token = this.headers?.get(header) ?? ""
    this.tokenHeader = header
    this.tokenPod = token === "" ? "" : this.sessionTokens?.podOf(token) ?? ""
    return this.tokenPod
  }

  /** Lets go of the prompt, and of the chains, a long prompt's are 50 kB, unless a pod may be picked once more. */
  release(mayBePickedAgain: boolean): void {
    if (!mayBePickedAgain) this.chainSizes.length = this.chains.length = 0
    this.prompt = nothing
    this.headers = undefined
    this.workshop.promptBytes.release(this)
  }

  private hash(blockSizeTokens: number): BlockChain {
    const { promptBytes, hasher } = this.workshop
    if ("text" in this.prompt) promptBytes.encode(this.prompt.text, this)
    else if ("ids" in this.prompt) promptBytes.encodeIds(this.prompt.ids, this)
    else return emptyChain
    const seed = seedOf([this.model, this.cacheSalt])
    return hasher.hash(promptBytes.bytes, promptBytes.byteLength, blockSizeTokens * bytesPerBlockToken, seed)
  }
}

const nothing: Prompt = { tokensGuessed: 0 }
