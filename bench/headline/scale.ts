import { join } from "node:path"
import { Schema } from "effect"
import type { EngineConstants } from "../../src/core/EngineConstants.ts"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import * as marginalCost from "../../src/policies/placement/marginal-cost.ts"

/** The hardware of the published run. */
export const PRESET = "qwen3-32b-2xh100"
export const PODS = 8

/** Engine constants of the preset on pods that run `speed` times as fast; what is no time stays. */
export const scaledConstants = (speed: number): EngineConstants => {
  const constants = hardwarePresets[PRESET]!
  return {
    prefillTokenS: constants.prefillTokenS / speed,
    attentionPairS: constants.attentionPairS / speed,
    weightReadS: constants.weightReadS / speed,
    stepFixedS: constants.stepFixedS / speed,
    decodeRequestS: constants.decodeRequestS / speed,
    contextTokenS: constants.contextTokenS / speed,
    batchedTokensMax: constants.batchedTokensMax,
    kvCapacityTokens: constants.kvCapacityTokens
  }
}

const shipped = Schema.decodeUnknownSync(marginalCost.Config)({})

/** A policy as it ships, whose own setting in seconds runs at the bench's pace too. */
export const scaledPolicy = (type: string, speed: number) =>
  type === marginalCost.type ? { type, parameters: { queueToleranceS: shipped.queueToleranceS / speed } } : { type }

/** Real milliseconds between two scrapes of a pod. */
export const SCRAPE_MS = 100

/** The command of `PODS` pods that are so many times as fast, on `port` and the ports after it. */
export const scaledPodsArgv = (
  port: number,
  speed: number,
  streamInterval: number,
  model: string
): ReadonlyArray<string> => [
  process.execPath,
  join(import.meta.dir, "pods.ts"),
  `${port}`,
  `${speed}`,
  `${streamInterval}`,
  model
]
