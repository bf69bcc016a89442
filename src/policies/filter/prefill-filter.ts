import { Schema } from "effect"
import type { Filter } from "../Plugin.ts"
import * as byLabel from "./by-label.ts"

export const type = "prefill-filter"

export const Config = Schema.Struct({})

/** Keeps the pods whose label llm-d.ai/role says that they prefill. Source: llm-d prefill-filter. */
export const make = (): Filter =>
  byLabel.make({
    label: "llm-d.ai/role",
    validValues: ["prefill", "encode-prefill", "prefill-decode", "both", "encode-prefill-decode"],
    allowsNoLabel: false
  })
