import { Schema } from "effect"
import { perhaps } from "../schemaParts.ts"
import type { ListedPlugin, PluginUse } from "./LlmdPlugin.ts"

const Source = Schema.Struct({
  header: perhaps(Schema.String),
  attribute: perhaps(Schema.String),
  producer: perhaps(Schema.String)
}).pipe(
  Schema.filter(({ attribute, header }) =>
    (attribute === undefined) !== (header === undefined) || "must have one of header and attribute"
  )
)

const Seconds = perhaps(Schema.NonNegative)

/** Parameters of session-affinity-filter and -scorer. */
export const SessionParameters = Schema.Struct({
  strategy: Schema.optionalWith(Schema.Literal("encoded_endpoint_header", "session_id"), {
    default: () => "encoded_endpoint_header"
  }),
  encodedEndpointHeaderConfig: perhaps(Schema.Struct({ header: perhaps(Schema.String) })),
  sessionIdConfig: perhaps(Schema.Struct({
    sources: perhaps(Schema.Array(Source)),
    evictionTtlSeconds: Seconds,
    evictionSweepSeconds: Seconds
  })),
  /** Which pod of a disaggregated request the session is bound to; here there is one. */
  profileName: perhaps(Schema.String)
})
type SessionParameters = typeof SessionParameters.Type

/** Headers of llm-d's agent-identity, in its order. */
const agentHeaders = ["x-claude-code-session-id", "x-session-affinity", "session-id", "session_id"]

type OurSource = { readonly header: string } | { readonly cookie: string }

/** What becomes of the filter or the scorer. */
export const sessionUse = (
  slot: "filter" | "scorer",
  { encodedEndpointHeaderConfig, sessionIdConfig, strategy }: SessionParameters,
  all: ReadonlyArray<ListedPlugin>
): PluginUse => {
  const type = `session-affinity-${slot}`
  const inMarginalCost = "nothing but the hits that the session left behind"
  if (strategy === "encoded_endpoint_header") {
    const header = encodedEndpointHeaderConfig?.header?.trim().toLowerCase() || "x-session-token"
    return {
      support: "supported",
      note:
        `same tokens in ${header}, of answers too; a client can write one: answers.sessionTokens: signed forbids it`,
      inMarginalCost,
      [slot]: { type, parameters: { header } },
      // Several replicas of a picker read each other's tokens, which signed ones need a common secret for.
      settings: { answers: { sessionHeader: header, sessionTokens: "plain" } }
    }
  }
  const written = sessionIdConfig?.sources ?? []
  const sources = written.flatMap((source) => sourcesOf(source, all))
  const { evictionTtlSeconds = 0 } = sessionIdConfig ?? {}
  const parameters = {
    strategy,
    ...(sources.length === 0 ? {} : { sources }),
    ...(evictionTtlSeconds === 0 ? {} : { evictionTtlSeconds })
  }
  return {
    support: "supported",
    note: "same bindings, at most 65536 sessions",
    inMarginalCost,
    [slot]: { type, parameters }
  }
}

/** An attribute is looked up where its producer has it from. */
const sourcesOf = (
  { attribute, header, producer }: typeof Source.Type,
  all: ReadonlyArray<ListedPlugin>
): ReadonlyArray<OurSource> => {
  if (header !== undefined) return [{ header }]
  if (attribute === "agent-identity") return agentHeaders.map((header) => ({ header }))
  const named = all.find(({ name, type }) => type === "session-id-producer" && (producer ?? type) === name)
  const { cookieName, headerName } = (named?.parameters ?? {}) as Readonly<Record<string, unknown>>
  if (typeof headerName === "string") return [{ header: headerName }]
  return typeof cookieName === "string" ? [{ cookie: cookieName }] : []
}
