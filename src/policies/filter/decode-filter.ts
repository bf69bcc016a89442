import { Schema } from "effect"
import type { Filter } from "../Plugin.ts"
import * as byLabel from "./by-label.ts"

export const type = "decode-filter"

export const Config = Schema.Struct({})

/** Keeps the pods that decode, by the label llm-d.ai/role; a pod without it does. Source: llm-d decode-filter. */
export const make = (): Filter =>
  byLabel.make({
    label: "llm-d.ai/role",
    validValues: ["decode", "prefill-decode", "both", "encode-prefill-decode"],
    allowsNoLabel: true
  })
