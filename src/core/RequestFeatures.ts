import type { BlockChain } from "./BlockChain.ts"

/** What a request asks of the queue at the gateway; see `WaitingRoom`. */
export interface WaitingWish {
  /** Bands are served strictly by priority, higher first; a negative one is shed first. */
  readonly priority: number
  /** Flows of a band share what it gets. */
  readonly flow: string
  /** Memory that the request keeps while it waits. */
  readonly bytes: number
  /** It gives up after this long; undefined: when the operator says. */
  readonly waitMaxS: number | undefined
}

/** All that a pick knows of a request. Made once by the front end; the prompt itself stays out of it. */
export interface RequestFeatures {
  /** Served model (an alias is already resolved). Empty: the route names no model, any pod will do. */
  readonly model: string
  /** Estimated prompt length; exact when the client sent token ids. */
  readonly promptTokens: number
  /** The client's `max_tokens` or its synonyms; undefined when it set none. */
  readonly outputTokensMax: number | undefined
  /** False for embeddings, rerank, tokenize and the like, which never decode. */
  readonly generates: boolean
  /** True when the answer streams, so that its first token will be seen. */
  readonly streams: boolean
  /** Block hashes at the block size of a pod, in tokens. Computed on first use for each size and kept. */
  readonly chain: (blockSizeTokens: number) => BlockChain
  /** Prompt tokens that one block of `chain` stands for (differs from the block size when text is estimated). */
  readonly tokensPerBlock: (blockSizeTokens: number) => number
  /** 0: none given. Hash of a client's session key, for policies that want one. */
  readonly sessionHash: number
  /** How it may wait at the gateway while every pod would queue it. Undefined: as any other. */
  readonly wish?: WaitingWish | undefined
  /** The client's headers, by names in lower case, for policies that want one. Undefined: there are none to ask. */
  readonly headers?: { readonly get: (name: string) => string | null } | undefined
  /**
   * Name, as `nameInToken` has it, of the pod in the session token under this header (lower case); empty when there is no
   * token, or none that this gateway gave. Undefined: tokens are not read.
   */
  readonly podOfToken?: ((header: string) => string) | undefined
  /** Pods that may take it, as `host:port`, or a host for all its ports. Undefined: any. */
  readonly only?: ReadonlyArray<string> | undefined
  /** Further pods to name beside the picked one, for a proxy that tries again by itself. Undefined: none. */
  readonly fallbacksMax?: number | undefined
}
