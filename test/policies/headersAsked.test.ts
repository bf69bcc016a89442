import { describe, expect, test } from "bun:test"
import { type PolicyDescription, policyNames } from "../../src/policies/registry.ts"
import { contextOf, policyOf } from "./fleet.ts"

/** Names of headers, and of session tokens, that the policy asks a request for. */
const askedBy = (description: PolicyDescription): ReadonlyArray<string> => {
  const asked = new Set<string>()
  const context = contextOf([{ decoding: 1 }, { waiting: 1 }, { hitTokens: 64 }], 2000)
  const note = (kind: string) => (name: string) => {
    asked.add(kind + name)
    return ""
  }
  context.request = { ...context.request, headers: { get: note("") }, podOfToken: note("token in ") }
  policyOf(description).pick(context)
  return [...asked].sort()
}

const weighted = (plugins: Partial<Extract<PolicyDescription, { readonly filters: unknown }>>): PolicyDescription => ({
  type: "weighted",
  filters: [],
  scorers: [],
  picker: { type: "random-picker" },
  ...plugins
})

const filtering = (type: string, parameters: Readonly<Record<string, unknown>> = {}) =>
  weighted({ filters: [{ type, parameters }] })
const scoring = (type: string, parameters: Readonly<Record<string, unknown>> = {}) =>
  weighted({ scorers: [{ type, parameters, weight: 1 }] })

describe("of a request's headers, which clients write,", () => {
  test.each(policyNames)("%s asks for none by default", (type) => {
    expect(askedBy({ type })).toEqual([])
  })

  test.each([
    ["session-hash", { type: "session-hash", parameters: { sources: [{ header: "x-a" }, { cookie: "c" }] } }, [
      "cookie",
      "x-a"
    ]],
    ["session-affinity-filter", filtering("session-affinity-filter"), ["token in x-session-token"]],
    ["session-affinity-scorer", scoring("session-affinity-scorer", { header: "X-Mine" }), ["token in x-mine"]],
    ["session-affinity-filter by name", filtering("session-affinity-filter", { strategy: "session_id" }), [
      "x-session-id"
    ]],
    ["header-label-affinity-scorer", scoring("header-label-affinity-scorer", { headerName: "x-b", labelKey: "zone" }), [
      "x-b"
    ]]
  ])("%s asks for what the operator named and nothing else", (_name, description, names) => {
    expect(askedBy(description)).toEqual(names)
  })
})
