import { Schema } from "effect"
import type { Scorer } from "../Plugin.ts"

export const type = "header-label-affinity-scorer"

export const Config = Schema.Struct({
  /** Header of the request, in any case. */
  headerName: Schema.NonEmptyString,
  /** Label of the pod that must equal it. */
  labelKey: Schema.NonEmptyString
})
export type Config = typeof Config.Type

/** 1 for pods whose label equals the request's header, else 0. Source: llm-d header-label-affinity-scorer. */
export const make = ({ headerName, labelKey }: Config): Scorer => {
  const name = headerName.toLowerCase()
  return (context, scores) => {
    const { candidates, request, table } = context
    const wanted = request.headers?.get(name) ?? ""
    for (let i = 0; i < context.candidateCount; i++) {
      const label = table.addresses[candidates[i] ?? 0]?.labels?.[labelKey]
      scores[i] = wanted !== "" && label === wanted ? 1 : 0
    }
  }
}
