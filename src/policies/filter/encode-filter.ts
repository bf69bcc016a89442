import { Schema } from "effect"
import type { Filter } from "../Plugin.ts"
import * as byLabel from "./by-label.ts"

export const type = "encode-filter"

export const Config = Schema.Struct({})

/** Keeps the pods whose label llm-d.ai/role says that they encode. Source: llm-d encode-filter. */
export const make = (): Filter =>
  byLabel.make({
    label: "llm-d.ai/role",
    validValues: ["encode", "encode-prefill", "encode-prefill-decode"],
    allowsNoLabel: false
  })
