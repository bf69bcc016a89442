import type { BlockChain } from "../core/BlockChain.ts"
import type { RequestFeatures } from "../core/RequestFeatures.ts"
import type { Dispatch } from "./Gateways.ts"
import type { Measured } from "./Measurements.ts"
import { prefixOf } from "./promptChain.ts"
import type { PlannedRequest } from "./Workload.ts"

/** A request on its way through the world. */
export interface SimulatedRequest {
  readonly number: number
  readonly plan: PlannedRequest
  readonly stage: number
  readonly measured: boolean
  readonly arrivedS: number
  readonly promptTokens: number
  readonly chain: BlockChain
  readonly features: RequestFeatures
  dispatch: Dispatch | undefined
  pod: number
  /** Pods on which it failed before its answer began. */
  excluded: ReadonlyArray<string>
  firstTokenS: number
  cachedTokens: number
}

/** What the gateway reads out of the request. */
export const featuresOf = (
  plan: PlannedRequest,
  promptTokens: number,
  whole: BlockChain,
  model: string
): RequestFeatures => ({
  model,
  promptTokens,
  outputTokensMax: plan.outputTokensMax,
  generates: true,
  streams: true,
  chain: (blockSizeTokens) => prefixOf(whole, promptTokens, blockSizeTokens),
  tokensPerBlock: (blockSizeTokens) => blockSizeTokens,
  sessionHash: plan.sessionHash
})

/** How a request that ends now was served. */
export const measuredOf = (request: SimulatedRequest, endS: number): Measured => {
  const { arrivedS, cachedTokens, firstTokenS, plan, promptTokens, stage } = request
  const outputTokens = plan.output.tokens
  return {
    stage,
    arrivedS,
    ttftS: firstTokenS - arrivedS,
    tpotS: outputTokens > 1 ? (endS - firstTokenS) / (outputTokens - 1) : Number.NaN,
    endS,
    promptTokens,
    cachedTokens,
    outputTokens
  }
}
