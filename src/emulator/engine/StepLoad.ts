import { decodeStepSeconds, type EngineConstants, prefillSeconds } from "../../core/EngineConstants.ts"
import type { EngineRequest } from "./EngineRequest.ts"

/** What one step has been given to compute so far, and how long that takes. */
export class StepLoad {
  /** Tokens that the step may still take. */
  budgetTokens = 0

  private readonly constants: EngineConstants
  private prefillS = 0
  private decoding = 0
  private contextTokens = 0

  constructor(constants: EngineConstants) {
    this.constants = constants
  }

  reset(): void {
    this.budgetTokens = this.constants.batchedTokensMax
    this.prefillS = 0
    this.decoding = 0
    this.contextTokens = 0
  }

  /** Call before the request's `computedTokens` move on: the attention term reads them as the context. */
  add(request: EngineRequest<unknown>, tokens: number): void {
    this.budgetTokens -= tokens
    if (tokens === 1 && request.outputDone > 0) {
      this.decoding++
      this.contextTokens += request.lengthTokens
    } else {
      this.prefillS += prefillSeconds(this.constants, tokens, request.computedTokens)
    }
  }

  get tokens(): number {
    return this.constants.batchedTokensMax - this.budgetTokens
  }

  /** Prefill and decode add up; the fixed part is paid once. */
  seconds(): number {
    return this.prefillS + decodeStepSeconds(this.constants, this.decoding, this.contextTokens)
  }
}
