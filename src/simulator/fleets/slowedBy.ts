import type { EngineConstants } from "../../core/EngineConstants.ts"

/** Hardware on which everything takes `factor` times as long; its KV is as large. */
export const slowedBy = (constants: EngineConstants, factor: number): EngineConstants => ({
  ...constants,
  prefillTokenS: constants.prefillTokenS * factor,
  attentionPairS: constants.attentionPairS * factor,
  weightReadS: constants.weightReadS * factor,
  stepFixedS: constants.stepFixedS * factor,
  decodeRequestS: constants.decodeRequestS * factor,
  contextTokenS: constants.contextTokenS * factor
})
