import { Either, Schema } from "effect"
import type { EngineConstants } from "../src/core/EngineConstants.ts"
import { hardwarePresets } from "../src/core/hardwarePresets.ts"
import { count, perhaps, reading, setting, unknownName } from "./schemaParts.ts"

const presetNames = Object.keys(hardwarePresets)

/** Preset of a gateway that is told nothing of its pods' GPUs: an error that all pods share hardly changes a pick. */
const DEFAULT_PRESET = "qwen3-32b-2xh100"

/** Name of an engine-constants preset. */
export const PresetName: Schema.Schema<string> = Schema.String.pipe(
  Schema.filter((name) => presetNames.includes(name) || unknownName("hardware preset", name, presetNames))
)

/** A calibrated pod can have 0 where the term is too small to be measured. */
const notNegativeS = perhaps(Schema.NonNegative)

const Written = Schema.Struct({
  /** The preset that the other fields correct. Default `qwen3-32b-2xh100`. */
  preset: setting(PresetName, DEFAULT_PRESET),
  /** Prefill compute of one token, in seconds. Default: the preset's, as below. */
  prefillTokenS: perhaps(Schema.Positive),
  /** Attention of one prefilled token to one token before it, in seconds. */
  attentionPairS: notNegativeS,
  /** Reading the weights once, in seconds. */
  weightReadS: notNegativeS,
  /** Fixed time of an engine step, in seconds. */
  stepFixedS: notNegativeS,
  /** One more decoding request in a step, in seconds. */
  decodeRequestS: notNegativeS,
  /** One more context token read in a decode step, in seconds. */
  contextTokenS: notNegativeS,
  /** Tokens that one engine step may prefill. */
  batchedTokensMax: perhaps(count(1, 1 << 24)),
  /** KV capacity in tokens, until the pod reports its own. */
  kvCapacityTokens: perhaps(count(16, 2 ** 40))
})

export interface Hardware {
  readonly preset: string
  /** The preset with what the operator corrected. */
  readonly constants: EngineConstants
}

/** How fast the pods are: a preset, or one with corrections. */
export const HardwareSection: Schema.Schema<Hardware, typeof Written.Encoded> = reading(
  Written,
  ({ preset, ...corrections }) => {
    const base = hardwarePresets[preset]
    if (base === undefined) return Either.left(unknownName("hardware preset", preset, presetNames))
    const corrected = Object.entries(corrections).filter(([, value]) => value !== undefined)
    return Either.right({ preset, constants: { ...base, ...Object.fromEntries(corrected) } })
  },
  ({ preset, constants }) => ({ preset, ...constants })
)
