import { Option, Schema } from "effect"
import type { PluginDescription, PolicyDescription } from "./registry.ts"
import { readySources, SessionSource } from "./SessionSource.ts"

const namesSources = Schema.decodeUnknownOption(Schema.Struct({ sources: Schema.Array(SessionSource) }))

/** Where the policy and its plug-ins look for a request's session, each place once; empty: where none says so. */
export const sessionSourcesOf = (policy: PolicyDescription): ReadonlyArray<SessionSource> => {
  const plugins: ReadonlyArray<PluginDescription> = "filters" in policy
    ? [...policy.filters, ...policy.scorers]
    : [policy]
  const all = plugins.flatMap(({ parameters }) =>
    Option.match(namesSources(parameters), { onNone: () => [], onSome: ({ sources }) => readySources(sources) })
  )
  return all.filter((source, index) => all.findIndex((other) => isSame(source, other)) === index)
}

const isSame = (one: SessionSource, other: SessionSource): boolean =>
  one.header === other.header && one.cookie === other.cookie
