import { Schema } from "effect"
import { perhaps } from "../schemaParts.ts"
import { type LlmdPlugin, llmdPlugin } from "./LlmdPlugin.ts"

/** Pods that the picker of Envoy may name behind the first, at most. */
const FALLBACKS_MAX = 16

const PickerParameters = Schema.Struct({ maxNumOfEndpoints: perhaps(Schema.Int) })

const picker = (type: string): LlmdPlugin =>
  llmdPlugin(type, ["picker"], PickerParameters, ({ maxNumOfEndpoints = 1 }) => ({
    support: "supported",
    note: maxNumOfEndpoints > 1
      ? "same choice; the pods behind it by least predicted TTFT"
      : "same choice",
    inMarginalCost: "the lowest sum, ties at random",
    picker: { type },
    ...(maxNumOfEndpoints > 1
      ? { settings: { extproc: { fallbacks: Math.min(FALLBACKS_MAX, maxNumOfEndpoints - 1) } } }
      : {})
  }))

export const pickersAndHandlers: ReadonlyArray<LlmdPlugin> = [
  picker("max-score-picker"),
  picker("random-picker"),
  picker("weighted-random-picker"),
  llmdPlugin("single-profile-handler", ["handler"], Schema.Struct({}), () => ({
    support: "supported",
    note: "one profile for every request"
  }))
]
